"""From one product to the heads of attention: split, normed, turned by their positions."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gptkit.model.native.parts import KINDS, Heads, parts_for
from gptkit.model.norm import norm_heads
from gptkit.model.positions import Rotation, rotate


class HeadNorms(NamedTuple):
    """RMSNorm of each query and of each key: weights (D,)."""

    q_weight: Tensor
    k_weight: Tensor
    eps: float


def split_heads(
    product: Tensor,
    n_head: int,
    n_kv_head: int,
    norms: HeadNorms | None,
    rotation: Rotation | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries (B, H, T, D), keys and values (B, G, T, D).

    product: (B, T, (H + 2G) D), all heads of a position side by side, the values' last.
    """
    parts = parts_for(product)
    if parts is not None and (norms is not None or rotation is not None):
        q_weight, k_weight, eps = norms or (None, None, 0.0)
        cos, sin = rotation or (None, None)
        split: tuple[Tensor, Tensor, Tensor] = _SplitHeads.apply(  # type: ignore[no-untyped-call]
            parts, product, n_head, n_kv_head, q_weight, k_weight, eps, cos, sin
        )
        return split
    heads = product.view(*product.shape[:2], n_head + 2 * n_kv_head, -1)
    # Queries and keys go through norm and rotation together: fewer, larger operations.
    qk, v = heads.split_with_sizes((n_head + n_kv_head, n_kv_head), dim=2)
    if norms is not None:
        weights = (norms.q_weight.expand(n_head, -1), norms.k_weight.expand(n_kv_head, -1))
        qk = norm_heads(qk, torch.cat(weights), norms.eps)
    if rotation is not None:
        qk = rotate(qk, rotation)
    q, k = qk.split_with_sizes((n_head, n_kv_head), dim=2)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


class _SplitHeads(torch.autograd.Function):
    """All of it in one pass over the product, and one back."""

    @staticmethod
    def forward(
        ctx: Any,
        parts: ctypes.CDLL,
        product: Tensor,
        n_head: int,
        n_kv_head: int,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        eps: float,
        cos: Tensor | None,
        sin: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        product = product.contiguous()
        q_precise = None if q_weight is None else q_weight.float()
        k_precise = None if k_weight is None else k_weight.float()
        ctx.counts, ctx.eps = (n_head, n_kv_head), eps
        call = _call(product, ctx.counts, eps, q_precise, k_precise, cos, sin)
        q = product.new_empty(call.batch, n_head, call.positions, call.width)
        k, v = (product.new_empty(call.batch, n_kv_head, *q.shape[2:]) for _ in range(2))
        inverse_rms = torch.empty(call.batch, call.positions, n_head + n_kv_head)
        parts.gptkit_heads(
            *(KINDS[product.dtype], ctypes.addressof(call), product.data_ptr()),
            *(q.data_ptr(), k.data_ptr(), v.data_ptr(), inverse_rms.data_ptr()),
        )
        ctx.parts, ctx.weight_dtype = parts, None if q_weight is None else q_weight.dtype
        ctx.save_for_backward(product, inverse_rms, q_precise, k_precise, cos, sin)
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> tuple[Tensor | None, ...]:
        product, inverse_rms, *kept = ctx.saved_tensors
        dq, dk, dv = dq.contiguous(), dk.contiguous(), dv.contiguous()
        call = _call(product, ctx.counts, ctx.eps, *kept)
        dproduct = torch.empty_like(product)
        dweights = None if ctx.weight_dtype is None else torch.empty(2, call.width)
        ctx.parts.gptkit_heads_back(
            *(KINDS[product.dtype], ctypes.addressof(call)),
            *(dq.data_ptr(), dk.data_ptr(), dv.data_ptr()),
            *(product.data_ptr(), inverse_rms.data_ptr(), dproduct.data_ptr()),
            None if dweights is None else dweights.data_ptr(),
        )
        of_weights = (None, None) if dweights is None else dweights.to(ctx.weight_dtype).unbind()
        return None, dproduct, None, None, *of_weights, None, None, None


def _call(
    product: Tensor,
    counts: tuple[int, int],
    eps: float,
    q_weight: Tensor | None,
    k_weight: Tensor | None,
    cos: Tensor | None,
    sin: Tensor | None,
) -> Heads:
    """Return sizes and pointers; what they point to has to stay."""
    batch, positions, channels = product.shape
    n_head, n_kv_head = counts
    call = Heads(
        batch=batch,
        positions=positions,
        queries=n_head,
        keys=n_kv_head,
        width=channels // (n_head + 2 * n_kv_head),
        eps=eps,
    )
    if q_weight is not None and k_weight is not None:
        call.weights = (q_weight.data_ptr(), k_weight.data_ptr())
    if cos is not None and sin is not None:
        assert cos.dtype == torch.float32 and cos.stride() == sin.stride() and cos.stride(-1) == 1
        call.cosines, call.sines = cos.data_ptr(), sin.data_ptr()
        call.position_stride = cos.stride(-3)
        call.batch_stride = cos.stride(0) if cos.ndim == 4 else 0
    return call
