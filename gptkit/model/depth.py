"""The size of a model from one number: 64 channels for each block, in heads of 64.

    depth            1    2    3    4    6    8     12
    n_embd           128  128  192  256  384  512   768
    context_length   128  128  192  256  384  512   768
    weights          0.2M 0.4M 1.3M 3.1M 11M  25M   85M

GPT-2's smallest model (12 x 768) is on this line, and nanochat scales its models along it. Narrower
ones than 128 waste the matrix units: benchmarks/cpu_training.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDTH_PER_BLOCK = 64
_MIN_WIDTH = 128
_HEAD_DIM = 64
_MAX_HEAD_DIM = 256


def shape_at(depth: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes that a depth means, beside the keys of the model that are given.

    A given n_embd or n_head is kept and the other one fits it; where nothing fits, checking the
    settings says so.

    >>> shape_at(6, {})
    {'n_layer': 6, 'n_embd': 384, 'n_head': 6, 'context_length': 384}
    >>> shape_at(6, {"n_head": 5})
    {'n_layer': 6, 'n_embd': 390, 'n_head': 5, 'context_length': 384}
    """
    attention = given.get("attention")
    attention = attention if isinstance(attention, Mapping) else {}
    n_head, head_dim = _count(given, "n_head"), _count(attention, "head_dim")
    n_embd = _count(given, "n_embd") or width_at(depth)
    if n_head and head_dim is None and "n_embd" not in given:
        pairs = 2 * n_head  # rotary positions turn pairs of channels
        n_embd = -(-n_embd // pairs) * pairs
    if n_head is None:
        n_head = _heads(n_embd, head_dim, _count(attention, "n_kv_head") or 1)
    return {
        "n_layer": depth,
        "n_embd": n_embd,
        "n_head": n_head,
        # Attention then costs a sixth of the matrix products, at any depth.
        "context_length": width_at(depth),
    }


def width_at(depth: int) -> int:
    """Return the channels of the residual stream."""
    return max(_MIN_WIDTH, _WIDTH_PER_BLOCK * depth)


def _heads(n_embd: int, head_dim: int | None, n_kv_head: int) -> int:
    """Return how many heads fit: as near to 64 channels each as the other settings let them be."""
    if head_dim is not None:
        return max(1, n_embd // head_dim // n_kv_head) * n_kv_head
    sizes = sorted(range(2, _MAX_HEAD_DIM + 1, 2), key=lambda size: abs(size - _HEAD_DIM))
    counts = (n_embd // size for size in sizes if n_embd % size == 0)
    return next((count for count in counts if count % n_kv_head == 0), n_kv_head)


def _count(section: Mapping[str, Any], key: str) -> int | None:
    """Return a whole number above 0; None for what is not one, which the settings' check reports."""
    value = section.get(key)
    usable = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if usable else None
