"""What bends the inner channels of an MLP, each channel by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.native.parts import KINDS, parts_for


@dataclass(frozen=True)
class Activation:
    """A function of each channel, or of two at the same place; any shape -> the same shape."""

    number: int
    """Its place in gptkit/native/activations.h."""
    by_torch: Callable[..., Tensor]
    compiled: bool = True
    """Whether the compiled form is faster than torch's."""

    def __call__(self, x: Tensor, *opened: Tensor) -> Tensor:
        """opened: what a gate lets through, of the shape of x; no other activation takes it."""
        parts = parts_for(x, *opened) if self.compiled else None
        if parts is None:
            return self.by_torch(x, *opened)
        bent: Tensor = _CompiledBend.apply(parts, self.number, x, *opened)  # type: ignore[no-untyped-call]
        return bent


class _CompiledBend(torch.autograd.Function):
    """One pass forward, one backward."""

    @staticmethod
    def forward(ctx: Any, parts: ctypes.CDLL, number: int, x: Tensor, *opened: Tensor) -> Tensor:
        inputs = tuple(tensor.contiguous() for tensor in (x, *opened))
        y = torch.empty_like(inputs[0])
        parts.gptkit_bend(*(KINDS[x.dtype], number), *_pointers(*inputs), y.data_ptr(), y.numel())
        ctx.parts, ctx.number = parts, number
        ctx.save_for_backward(*inputs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        gradient = gradient.contiguous()
        gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        ctx.parts.gptkit_bend_back(
            *(KINDS[gradient.dtype], ctx.number, gradient.data_ptr()),
            *(*_pointers(*inputs), *_pointers(*gradients), gradient.numel()),
        )
        return None, None, *gradients


def _pointers(x: Tensor, opened: Tensor | None = None) -> tuple[int, int | None]:
    return x.data_ptr(), None if opened is None else opened.data_ptr()


def _silu_gate(x: Tensor, opened: Tensor) -> Tensor:
    return F.silu(x) * opened


def _squared_relu(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        squared: Tensor = _SquaredReLU.apply(x)  # type: ignore[no-untyped-call]
        return squared
    return F.relu(x).square()


class _SquaredReLU(torch.autograd.Function):
    """The gradient is 2 relu(x); said so, both passes take 0.4 to 0.8 of autograd's time on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = F.relu(x)
        ctx.save_for_backward(y)
        return y * y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        x_gradient: Tensor = (gradient * y).mul_(2)
        return x_gradient


silu_gate = Activation(0, _silu_gate)
"""silu(x) * opened, of SwiGLU. Reference: arXiv:2002.05202, section 2."""

ACTIVATIONS = {
    "gelu": Activation(1, F.gelu, compiled=False),
    "gelu_tanh": Activation(2, partial(F.gelu, approximate="tanh")),
    "relu": Activation(3, F.relu, compiled=False),
    "relu2": Activation(4, _squared_relu),
}
"""By the name that `mlp: {name: ...}` gives them. relu2: Primer, arXiv:2109.08668, section 3."""
