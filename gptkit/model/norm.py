"""Normalisation of the residual stream and of attention heads."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.config import ModelConfig
from gptkit.model.native.parts import KINDS, parts_for


def build_norm(config: ModelConfig) -> nn.Module:
    """Return a new norm over the channels of the residual stream."""
    if config.norm == "rms_norm":
        return RMSNorm(config.n_embd, eps=config.norm_eps or 1e-6)
    return nn.LayerNorm(config.n_embd, eps=config.norm_eps or 1e-5, bias=config.bias)


class RMSNorm(nn.Module):
    """Divide a vector by its root mean square, then scale each channel by a learned weight.

    Half-precision input is measured in float32 and comes out in its own dtype. Under autocast, where the
    matrix product that follows reads half precision, it may come out so at once.

    Reference: Root Mean Square Layer Normalization, arXiv:1910.07467, equation 4.
    """

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width) -> (..., width)."""
        parts = parts_for(x)
        if parts is not None:
            normed: Tensor = _CompiledRMSNorm.apply(parts, x, self.weight, self.eps)  # type: ignore[no-untyped-call]
            return normed
        if x.is_cpu and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            normalised: Tensor = _RMSNormOnCPU.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
            return normalised
        weight = self.weight.to(x.dtype)
        return F.rms_norm(x, weight.shape, weight, self.eps).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, eps={self.eps}"


def norm_heads(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Apply RMSNorm to heads that have their own weights: x (..., N, D), weight (N, D) -> as x."""
    weight = weight.to(x.dtype)
    if x.is_cpu and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        normalised: Tensor = _NormHeadsOnCPU.apply(x, weight, eps)  # type: ignore[no-untyped-call]
        return normalised
    return F.rms_norm(x, weight.shape[-1:], None, eps).to(x.dtype) * weight


class _CompiledRMSNorm(torch.autograd.Function):
    """One pass forward, one backward."""

    @staticmethod
    def forward(ctx: Any, parts: ctypes.CDLL, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, precise = x.contiguous(), weight.float()
        num, width = x.numel() // len(weight), len(weight)
        read = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        y = torch.empty_like(x, dtype=read if read in KINDS else x.dtype)
        inverse_rms = torch.empty(num)
        parts.gptkit_norm(
            *(KINDS[x.dtype], KINDS[y.dtype], x.data_ptr(), precise.data_ptr()),
            *(y.data_ptr(), inverse_rms.data_ptr(), num, width, eps),
        )
        ctx.parts, ctx.weight_dtype = parts, weight.dtype
        ctx.save_for_backward(x, precise, inverse_rms)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor, None]:
        x, weight, inverse_rms = ctx.saved_tensors
        gradient = gradient.contiguous()
        x_gradient, weight_gradient = torch.empty_like(x), torch.empty_like(weight)
        ctx.parts.gptkit_norm_back(
            *(KINDS[x.dtype], KINDS[gradient.dtype], gradient.data_ptr(), x.data_ptr()),
            *(weight.data_ptr(), inverse_rms.data_ptr()),
            *(x_gradient.data_ptr(), weight_gradient.data_ptr(), len(inverse_rms), len(weight)),
        )
        return None, x_gradient, weight_gradient.to(ctx.weight_dtype), None


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    """Return 1 / rms of each vector, at least float32: (..., width) -> (..., 1)."""
    precise = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=precise)
    inverse: Tensor = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return inverse


class _NormHeadsOnCPU(torch.autograd.Function):
    """Several heads' norms at once; the formulas of `_RMSNormOnCPU`, with a weight for each head."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse_rms = _inverse_rms(x, eps).to(x.dtype)
        normalised = x * inverse_rms
        ctx.save_for_backward(normalised, inverse_rms, weight)
        y: Tensor = normalised * weight
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        normalised, inverse_rms, weight = ctx.saved_tensors
        product = gradient * normalised
        weight_gradient = product.flatten(0, -3).sum(0)
        along = product.mul_(weight).sum(-1, keepdim=True).div_(-weight.shape[-1])
        x_gradient = (gradient * weight).addcmul_(normalised, along).mul_(inverse_rms)
        return x_gradient, weight_gradient, None


class _RMSNormOnCPU(torch.autograd.Function):
    """F.rms_norm with a backward of one pass, in the kernel that torch has for LayerNorm.

    On a CPU torch has no fused kernel for RMSNorm, and autograd of its parts takes three times as
    long at (12, 64, 128) and five times as long at (16, 256, 384): benchmarks/model_parts.py.

    With r = 1 / rms(x), n = x * r and y = w * n, the gradient dy of y gives
        dw = sum over all vectors of dy * n
        dx = r * (dy * w - n * mean over channels of dy * w * n).
    LayerNorm's gradient, told that the mean is 0, is that less r * mean over channels of dy * w.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        inverse_rms = _inverse_rms(x, eps)
        ctx.save_for_backward(x, inverse_rms, weight)
        y: Tensor = (x * inverse_rms.to(x.dtype)).mul_(weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, inverse_rms, weight = ctx.saved_tensors
        width = weight.shape[0]
        x_gradient, weight_gradient, _ = torch.ops.aten.native_layer_norm_backward(
            gradient,
            x,
            [width],
            torch.zeros_like(inverse_rms),
            inverse_rms,
            weight.to(inverse_rms.dtype),
            None,
            [True, True, False],
        )
        along = (gradient @ weight.to(gradient.dtype)).unsqueeze(-1)
        x_gradient.addcmul_(along, inverse_rms.to(x.dtype), value=1 / width)
        return x_gradient, weight_gradient.to(weight.dtype), None
