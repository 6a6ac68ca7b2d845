"""The position-wise half of a block: gated (SwiGLU) or plain, with the activation of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.activations import ACTIVATIONS, silu_gate
from gptkit.model.config import ModelConfig, SwiGLUConfig

# Elements from which an MLP's inner channels are not kept for the backward pass. There the work again costs
# 2 (float32) to 4 % (bfloat16) of a step on a CPU, and saves a quarter of the activations.
_RECOMPUTE_FROM = 2**23


def bend_down(bend: Callable[..., Tensor], inputs: tuple[Tensor, ...], down: nn.Linear) -> Tensor:
    """Return down(bend(*inputs)); large inner channels, (B, T, F), are computed again for the gradient.

    bend: position by position, without randomness; inputs: (B, T, F) each.
    """
    recompute = torch.is_grad_enabled() and inputs[0].numel() >= _RECOMPUTE_FROM
    recompute = (
        recompute and type(down) is nn.Linear
    )  # something put around it has a forward of its own
    if recompute and not torch.compiler.is_compiling():  # Inductor decides that by itself
        recomputed: Tensor = _BendDown.apply(bend, down.weight, down.bias, *inputs)  # type: ignore[no-untyped-call]
        return recomputed
    y: Tensor = down(bend(*inputs))
    return y


class _BendDown(torch.autograd.Function):
    """bend(inputs) W^T + b, of which only inputs and W are kept."""

    @staticmethod
    def forward(
        ctx: Any,
        bend: Callable[..., Tensor],
        weight: Tensor,
        bias: Tensor | None,
        *inputs: Tensor,
    ) -> Tensor:
        ctx.bend = bend
        ctx.save_for_backward(weight, *inputs)
        return F.linear(bend(*inputs), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *saved = ctx.saved_tensors
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_() for x in saved]
            bent = ctx.bend(*inputs)
        # Under autocast the product was one of half precision, and its gradients are too.
        bent_gradient = gradient @ weight.to(gradient.dtype)
        rows = gradient.flatten(0, -2)
        kept = bent.detach().flatten(0, -2).to(rows.dtype)
        weight_gradient = (rows.mT @ kept).to(weight.dtype) if ctx.needs_input_grad[1] else None
        bias_gradient = rows.sum(0).to(weight.dtype) if ctx.needs_input_grad[2] else None
        inner = torch.autograd.grad(bent, inputs, bent_gradient.to(bent.dtype))
        return None, weight_gradient, bias_gradient, *inner


class MLP(nn.Module):
    """Widen each position to F channels, bend them, and come back: down(activation(up(x)))."""

    def __init__(self, section: Any, config: ModelConfig) -> None:
        super().__init__()
        width = section.width or 4 * config.n_embd
        self.up_proj = nn.Linear(config.n_embd, width, bias=config.bias)
        self.down_proj = nn.Linear(width, config.n_embd, bias=config.bias)
        self.activation = ACTIVATIONS[section.name]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C) -> (B, T, C)."""
        return bend_down(self.activation, (self.up_proj(x),), self.down_proj)

    def residual_projections(self) -> Iterable[nn.Linear]:
        return (self.down_proj,)


class SwiGLU(nn.Module):
    """An MLP whose channels are opened and closed by a gate: down(silu(gate(x)) * up(x)).

    Reference: GLU Variants Improve Transformer, arXiv:2002.05202, section 2.
    """

    def __init__(self, section: SwiGLUConfig, config: ModelConfig) -> None:
        super().__init__()
        width = section.width or -(-8 * config.n_embd // (3 * 32)) * 32
        self.gate_proj = nn.Linear(config.n_embd, width, bias=config.bias)
        self.up_proj = nn.Linear(config.n_embd, width, bias=config.bias)
        self.down_proj = nn.Linear(width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C) -> (B, T, C)."""
        return bend_down(silu_gate, (self.gate_proj(x), self.up_proj(x)), self.down_proj)

    def residual_projections(self) -> Iterable[nn.Linear]:
        return (self.down_proj,)
