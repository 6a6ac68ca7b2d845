"""The sum at the heart of attention: each query's weighted mean of the values it may see.

    attend(q, k, v) = softmax(q k^T / sqrt(D) + mask) v

The T queries stand at the last T of the keys' S positions: S = T in training, S > T behind a cache.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.dropout import Dropout, new_dropping
from gptkit.model.native.parts import KINDS, Dropping, View, parts_for

# Fewer at a time make more and smaller products, more at a time scores that a CPU's caches do not hold.
_QUERIES_AT_ONCE = 256


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int | None = None,
    same_document: Tensor | None = None,
    dropout: Dropout | None = None,
) -> Tensor:
    """Return what each query gathers, (B, H, T, D): nothing from later positions.

    q: (B, H, T, D); k, v: (B, G, S, D), where each of the G heads serves H / G query heads.
    window: keys that a query sees, its own included; None: all.
    same_document: (B, 1, T, S) bool, which positions may meet at all; None: all.
    dropout: of the weights, in training; None: no dropout.
    """
    num_queries = q.shape[2]
    if window is not None:
        reach = window + num_queries - 1
        k, v = k[:, :, -reach:], v[:, :, -reach:]
    num_keys = k.shape[2]
    p = 0.0 if dropout is None else dropout.share
    if matmul_is_faster(q, p):
        return attend_by_matmul(
            q, k, v, window=window, same_document=same_document, dropout=dropout
        )
    mask = None
    if not sees_all_before(num_queries, num_keys, window) or same_document is not None:
        mask = causal_mask(num_queries, num_keys, window=window, device=q.device)
        mask = mask if same_document is None else mask & same_document
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=p,
        is_causal=mask is None and num_queries > 1,
        enable_gqa=k.shape[1] < q.shape[1],
    )


def sees_all_before(num_queries: int, num_keys: int, window: int | None) -> bool:
    """Whether the kernel's own causal rule is right, which is faster than any mask.

    It is for a square, and for one query, which sees all keys.
    """
    return num_queries in (1, num_keys) and (window is None or window >= num_keys)


def causal_mask(
    num_queries: int,
    num_keys: int,
    *,
    window: int | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Return (T, S) bool: whether a query sees a key, for the last T of S positions.

    >>> causal_mask(3, 4, window=2).int()
    tensor([[1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    keys = torch.arange(num_keys, device=device)
    queries = keys[num_keys - num_queries :].unsqueeze(1)
    mask = keys <= queries
    return mask if window is None else mask & (keys > queries - window)


def matmul_is_faster(q: Tensor, p: float) -> bool:
    """Whether `attend_by_matmul` beats torch's fused kernel: on CPUs, in training, in two cases.

    With dropout torch leaves its fused kernel and takes 1.6 times as long in float32, 3 times in
    bfloat16. The kernel's bfloat16 backward is slow for short sequences: 5 times as long at 64
    tokens, twice at 256, 1.7 at 512, where the scores need the most memory of all activations.
    benchmarks/model_parts.py measures it.
    """
    if not q.is_cpu or not torch.is_grad_enabled():
        return False
    return p > 0 or (q.dtype == torch.bfloat16 and q.shape[2] < 512)


def attend_by_matmul(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    window: int | None = None,
    same_document: Tensor | None = None,
    dropout: Dropout | None = None,
) -> Tensor:
    """Do what torch's kernel does, spelled out: two matrix products with a softmax between.

    A block of queries at a time, which leaves out the keys that none of them sees: at 512 tokens 1.3
    to 1.8 times as fast as one block (benchmarks/model_parts.md). Arguments as of `attend`.
    """
    parts = None if same_document is not None else parts_for(q, k, v)
    num_queries, groups = q.shape[2], q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    blocks = []
    for start in range(0, num_queries, _QUERIES_AT_ONCE):
        queries = slice(start, min(start + _QUERIES_AT_ONCE, num_queries))
        first = k.shape[2] - num_queries + start  # the key at the place of the first of them
        end = first + queries.stop - start
        keys = slice(0 if window is None else max(0, first - window + 1), end)
        qkv = (q[:, :, queries], k[:, :, keys], v[:, :, keys])
        if parts is not None:
            blocks.append(_attend_by_parts(parts, *qkv, window, dropout))
            continue
        mask = causal_mask(queries.stop - start, end - keys.start, window=window, device=q.device)
        if same_document is not None:
            mask = mask & same_document[:, :, queries, keys]
        blocks.append(_attend_to(*qkv, mask, dropout))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=2)


def _attend_to(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: Dropout | None) -> Tensor:
    """q: (B, H, T, D); k, v: (B, H, S, D); mask: (T, S) or (B, 1, T, S) bool -> (B, H, T, D)."""
    batch_size, n_head, num_queries, head_dim = q.shape
    bias = torch.zeros_like(mask, dtype=q.dtype).masked_fill_(~mask, -torch.inf)
    bias = bias.expand(batch_size, n_head, num_queries, k.shape[2]).flatten(0, 1)
    # One call scales, multiplies and masks: each pass over the (B, H, T, S) scores counts here.
    scores = torch.baddbmm(bias, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=head_dim**-0.5)
    weights = scores.softmax(dim=-1)
    if dropout is not None:
        weights = dropout(weights)
    return torch.bmm(weights, v.flatten(0, 1)).view(q.shape)


def _attend_by_parts(
    parts: ctypes.CDLL, q: Tensor, k: Tensor, v: Tensor, window: int | None, dropout: Dropout | None
) -> Tensor:
    """q: (B, H, T, D), at the last of the keys' places; k, v: (B, H, S, D) -> (B, H, T, D)."""
    p = 0.0 if dropout is None else dropout.share
    heads = (x.flatten(0, 1) for x in (q, k, v))
    y: Tensor = _CompiledAttention.apply(parts, *heads, window, p)  # type: ignore[no-untyped-call]
    return y.view(q.shape)


class _CompiledAttention(torch.autograd.Function):
    """The softmax between the products with its mask and dropout in one pass, and one back.

    q: (N, T, D); k, v: (N, S, D). Only the weights are kept: which of them dropout left, its seed says.
    """

    @staticmethod
    def forward(
        ctx: Any,
        parts: ctypes.CDLL,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        window: int | None,
        p: float,
    ) -> Tensor:
        weights = torch.bmm(q, k.mT)  # as yet scores, (N, T, S)
        q, k, v = (x.to(weights.dtype) for x in (q, k, v))  # as autocast multiplies them
        count, num_queries, num_keys = weights.shape
        first = num_keys - num_queries
        view = View(count, num_queries, num_keys, first, window or num_keys, q.shape[-1] ** -0.5)
        how = new_dropping(p) if p else Dropping()
        kept = torch.empty_like(weights) if p else weights
        parts.gptkit_weigh(
            *(KINDS[q.dtype], ctypes.addressof(view), ctypes.addressof(how)),
            *(weights.data_ptr(), kept.data_ptr() if p else None),
        )
        ctx.parts, ctx.view, ctx.how, ctx.p = parts, view, how, p
        ctx.save_for_backward(q, k, v, weights)
        return torch.bmm(kept, v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        gradient = torch.bmm(dy, v.mT)  # of the weights, then of the scores
        kept = torch.empty_like(weights) if ctx.p else weights
        ctx.parts.gptkit_weigh_back(
            *(KINDS[q.dtype], ctypes.addressof(ctx.view), ctypes.addressof(ctx.how)),
            *(weights.data_ptr(), gradient.data_ptr(), kept.data_ptr() if ctx.p else None),
        )
        dq, dk = torch.bmm(gradient, k), torch.bmm(gradient.mT, q)
        return None, dq, dk, torch.bmm(kept.mT, dy), None, None
