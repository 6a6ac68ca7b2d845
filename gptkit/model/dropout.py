"""Dropout that is not held up by the CPU's random numbers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.native.parts import KINDS, Dropping, parts_for


class Dropout(nn.Module):
    """In training, zero each channel with probability p and scale the others to keep the mean."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def share(self) -> float:
        """Which share is zeroed now: none in evaluation."""
        return self.p if self.training else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape -> the same shape."""
        if self.share == 0:
            return x
        if not x.is_cpu:
            return F.dropout(x, self.p)
        parts = parts_for(x)
        if parts is not None:
            dropped: Tensor = _CompiledDropout.apply(parts, x, self.p)  # type: ignore[no-untyped-call]
            return dropped
        # The compiler sees one operation that it leaves alone, and fuses the product with its neighbours.
        compiling = torch.compiler.is_compiling()
        keep = torch.ops.gptkit.keep_mask if compiling else keep_mask
        return x * keep(x.detach(), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def keep_mask(x: Tensor, p: float) -> Tensor:
    """Return 0 with probability p, else what keeps the mean, for each channel of x, in its dtype.

    p is rounded to 16 bits, so that a random 64-bit integer decides about four channels. It takes a
    sixth to a third of the time of torch's dropout on a CPU, which draws a number for each channel,
    from a slower generator: benchmarks/model_parts.py. The seed is torch's.
    """
    dropped, scale = _share(p)
    generator = np.random.SFC64(_seed())
    words = torch.from_numpy(generator.random_raw((x.numel() + 3) // 4).view(np.int16))
    # In place, so that no bool comes to be: turning those into numbers is slow.
    keep = words[: x.numel()].view(x.shape).ge_(dropped - 2**15)
    return keep.to(x.dtype).mul_(scale)


def _share(p: float) -> tuple[int, float]:
    """Return how many of the 2**16 values of 16 bits mean a zero, and what the others are scaled by."""
    dropped = min(round(p * 2**16), 2**16 - 1)
    return dropped, 2**16 / (2**16 - dropped)


def _seed() -> int:
    return int(torch.randint(2**62, ()))


class _CompiledDropout(torch.autograd.Function):
    """No mask is kept: the seed and a channel's place say once more whether it is dropped."""

    @staticmethod
    def forward(ctx: Any, parts: ctypes.CDLL, x: Tensor, p: float) -> Tensor:
        ctx.parts, ctx.how = parts, new_dropping(p)
        return _drop(parts, x, ctx.how)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        return None, _drop(ctx.parts, gradient, ctx.how), None


def new_dropping(p: float) -> Dropping:
    """Return what the compiled parts are to drop, from a new seed of torch's."""
    return Dropping(_seed(), *_share(p))


def _drop(parts: ctypes.CDLL, x: Tensor, how: Dropping) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    places = (x.data_ptr(), y.data_ptr(), x.numel(), ctypes.addressof(how))
    parts.gptkit_drop(KINDS[x.dtype], *places)
    return y


# What custom_op would do, without the third of a second in which it imports the compiler.
_LIBRARY: Any = torch.library.Library("gptkit", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("keep_mask(Tensor x, float p) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_LIBRARY.impl("keep_mask", keep_mask, "CPU")
_LIBRARY.impl("keep_mask", lambda x, p: x.new_empty(x.shape), "Meta")
