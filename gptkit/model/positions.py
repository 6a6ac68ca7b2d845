"""How a model knows the order of its tokens: rotary, learned, sinusoidal, or not at all.

A kind of positions adds a vector to each token's embedding (`embed`), or turns queries and keys
inside attention (`rotation`), or does neither. `positions` are int64, (T,) or (B, T), all below
context_length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gptkit.model.config import ModelConfig, RotaryConfig
from gptkit.model.init import embedding_std, empty_embedding
from gptkit.section import Section


class Rotation(NamedTuple):
    """Cosine and sine of each position's angles: (T, 1, D) or (B, T, 1, D), the 1 for all heads.

    The first half of the sines carries a minus sign; `rotate` says why.
    """

    cos: Tensor
    sin: Tensor


class Positions(Protocol):
    """What a model asks of any kind of positions."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return the token embeddings x (B, T, C) with what this kind adds to them."""

    def rotation(self, positions: Tensor) -> Rotation | None:
        """Return what attention turns queries and keys by; None: nothing."""


class NoPositions(nn.Module):
    """No position signal: only the causal mask tells earlier from later."""

    def __init__(self, section: Section, config: ModelConfig) -> None:
        super().__init__()

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x

    def rotation(self, positions: Tensor) -> Rotation | None:
        return None


class LearnedPositions(NoPositions):
    """A learned vector per position, added to the token embedding (GPT-2)."""

    def __init__(self, section: Section, config: ModelConfig) -> None:
        super().__init__(section, config)
        self.embedding = empty_embedding(config.context_length, config.n_embd)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        vectors: Tensor = self.embedding(positions)
        return x + vectors


class SinusoidalPositions(NoPositions):
    """Fixed sines and cosines of falling frequency, added to the token embedding.

    They are scaled to the size that token embeddings have at first, as in the paper.

    Reference: Attention Is All You Need, arXiv:1706.03762, section 3.5.
    """

    def __init__(self, section: Section, config: ModelConfig) -> None:
        super().__init__(section, config)
        compute = partial(
            sinusoid_table, config.context_length, config.n_embd, scale=embedding_std(config)
        )
        self.sinusoids = FixedTable(compute, config.context_length, config.n_embd)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        vectors: Tensor = self.sinusoids(positions)
        return x + vectors.to(x.dtype)


class RotaryPositions(NoPositions):
    """Queries and keys turn with their position; their product depends on the distance alone.

    Reference: RoFormer, arXiv:2104.09864, section 3.2.
    """

    def __init__(self, section: RotaryConfig, config: ModelConfig) -> None:
        super().__init__(section, config)
        head_dim = getattr(config.attention, "head_dim", None) or config.head_dim
        compute = partial(rotary_table, config.context_length, head_dim, theta=section.theta)
        self.angles = FixedTable(compute, config.context_length, 2, head_dim)

    def rotation(self, positions: Tensor) -> Rotation:
        cos, sin = self.angles(positions).unsqueeze(-3).unbind(-2)
        return Rotation(cos, sin)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair of channels by the angle of its position.

    x: (B, T, H, D) queries or keys. Returns the same shape.
    Channel i is paired with i + D/2 (the GPT-NeoX layout, not the interleaved one of the paper).
    """
    cos, sin = rotation.cos.to(x.dtype), rotation.sin.to(x.dtype)
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        turned: Tensor = _Turn.apply(x, cos, sin)  # type: ignore[no-untyped-call]
        return turned
    return _turn(x, cos, sin)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    # (a, b) -> (a cos - b sin, b cos + a sin), where the minus is that of the stored sine.
    a, b = x.chunk(2, dim=-1)
    return torch.cat((b, a), dim=-1).mul_(sin).addcmul_(x, cos)


class _Turn(torch.autograd.Function):
    """The gradient turns back by the same angle; said so, it takes half of autograd's time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(gradient, cos, -sin), None, None


def rotary_table(length: int, head_dim: int, *, theta: float) -> Tensor:
    """Return (length, 2, D): cosines and signed sines of all channels at each position."""
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(length).float(), frequencies)  # (length, D/2)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)), dim=1)


def sinusoid_table(length: int, width: int, *, scale: float) -> Tensor:
    """Return (length, width): sines in even channels, cosines in odd ones, times `scale`."""
    frequencies = 1.0 / 10_000.0 ** (torch.arange(0, width, 2).float() / width)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1) * scale


class FixedTable(nn.Module):
    """Rows for all positions that are computed, not learned: float32 whatever the model's dtype.

    Casting a model to bfloat16 must not round them and `to_empty` must not lose them, so they are
    computed again whenever the model is moved or cast. They are no part of its saved state.
    """

    rows: Tensor

    def __init__(self, compute: Callable[[], Tensor], *shape: int) -> None:
        """compute: returns the table, of that shape."""
        super().__init__()
        self._compute, self._shape = compute, shape
        self.register_buffer("rows", self._table(), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """positions: (...) int64 -> (..., width of a row)."""
        return self.rows[positions]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        with self.rows.device:
            self.rows = self._table()
        return self

    def _table(self) -> Tensor:
        # Arithmetic on the meta device imports torch's compiler: a second for nothing.
        if torch.get_default_device().type == "meta":
            return torch.empty(self._shape)
        return self._compute()
