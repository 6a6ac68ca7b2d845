"""The ceilings of this machine: what no training and no decoding here can be faster than.

Measured each time, never stored: other programs, heat and the power supply move them. Each
measurement has a cap on its time, so that a precision which a device only emulates costs no more
than another; None stands for what the device cannot do at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from gptkit.runtime.peak import measured_flops
from gptkit.runtime.timing import best_seconds

SECONDS = 0.5
"""Cap of each measurement; only its last trial may end later."""

_SMALLEST, _LARGEST = 256, 8192  # matrices
_SHARE = 3  # the next size gets one part in three of the time that is left
# Far more than the caches of any processor: what is read comes from memory.
_STREAMED_BYTES = 2**29
_STREAMED_COLUMNS = 8192


@dataclass(frozen=True)
class AttentionShape:
    """Queries, keys and values of (B, H, T, D) each."""

    batch: int
    heads: int
    length: int
    head_dim: int

    @property
    def flops(self) -> int:
        """Of forward and backward, causal, without what a kernel computes again.

        Two products of (T, D) by (T, D) forward, twice that backward, half of it masked.
        """
        return 6 * self.batch * self.heads * self.length**2 * self.head_dim


_SHAPES = {"cpu": AttentionShape(8, 6, 256, 64), "mps": AttentionShape(16, 6, 256, 64)}
_LARGE_SHAPE = AttentionShape(16, 12, 1024, 64)


def attention_shape(device: torch.device) -> AttentionShape:
    """Return the shape to measure: that of a model which such a device trains in minutes."""
    return _SHAPES.get(device.type, _LARGE_SHAPE)


def matrix_flops(
    dtype: torch.dtype, device: torch.device, *, seconds: float = SECONDS
) -> float | None:
    """Return the best rate of matrix products over growing sizes, in FLOP/s."""
    return _if_possible(lambda: _over_sizes(dtype, device, seconds))


def read_bandwidth(
    device: torch.device, *, seconds: float = SECONDS, num_bytes: int = _STREAMED_BYTES
) -> float | None:
    """Return the rate at which weights are read from memory, in bytes/s.

    A matrix times a vector, as in decoding: every weight is read once and used once.
    """
    return _if_possible(lambda: _streamed(device, seconds, num_bytes))


def attention_flops(
    dtype: torch.dtype, device: torch.device, *, seconds: float = SECONDS
) -> float | None:
    """Return the rate of causal attention, forward and backward, in FLOP/s."""
    return _if_possible(lambda: _attended(dtype, device, seconds))


def _over_sizes(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    end = time.perf_counter() + seconds
    best, size = 0.0, _SMALLEST
    left = seconds
    while True:
        found = measured_flops(dtype, size=size, seconds=left / _SHARE, device=device)
        best = max(best, found)
        size *= 2
        left = end - time.perf_counter()
        if size > _LARGEST or _SHARE * 2 * size**3 / best > left:
            return best


def _streamed(device: torch.device, seconds: float, num_bytes: int) -> float:
    rows = num_bytes // (4 * _STREAMED_COLUMNS)
    weights = torch.ones(rows, _STREAMED_COLUMNS, device=device)
    vector = torch.ones(_STREAMED_COLUMNS, device=device)
    return num_bytes / best_seconds(lambda: torch.mv(weights, vector), device, seconds=seconds)


def _attended(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    shape = attention_shape(device)
    size = (shape.batch, shape.heads, shape.length, shape.head_dim)
    generator = torch.Generator(device).manual_seed(0)
    q, k, v = (
        torch.randn(size, generator=generator, device=device).to(dtype).requires_grad_()
        for _ in range(3)
    )
    gradient = torch.ones(size, device=device, dtype=dtype)

    def work() -> None:
        out = scaled_dot_product_attention(q, k, v, is_causal=True)
        torch.autograd.grad(out, (q, k, v), gradient)

    return shape.flops / best_seconds(work, device, seconds=seconds)


def _if_possible(measure: Callable[[], float]) -> float | None:
    try:
        return measure()
    except RuntimeError:  # the device has no such kernel, or no memory left
        return None
