"""The loss: cross-entropy as a sum over targets, so that parts of a batch add up to the whole.

The plain way writes the logits of all N rows and their gradient. `chunked_loss` walks over the rows
and needs one chunk at a time:

    hidden (N, C) --> [n rows] @ head^T --> logits (n, V) --> nats
                                               |
                       gradients of those rows and of the head, at once: the chunk is thrown away
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.data.batches import IGNORE_INDEX

# Logits of one chunk. On a CPU 333 rows of GPT-2's vocabulary: fewer read and write the head's
# gradient too often, more only cost memory. A GPU needs larger products.
_CHUNK_LOGITS = {"cpu": 2**24}
_CHUNK_LOGITS_ELSEWHERE = 2**27
_HEAD_ROWS = 8192
"""Half-precision products for the head's gradient go to its float32 sum by so many rows."""
_VOCABULARY_MULTIPLE = {"cuda": 64}
"""Tensor cores are fast where rows of logits begin at such places: GPT-2's 50,257 entries are taken as 50,304."""


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each target in nats, float32, 0 where there is none: (B * T,).

    logits: (B, T, V) of any precision; targets: (B, T) int64, IGNORE_INDEX where nothing is to be
    predicted.
    """
    flat = logits.flatten(0, 1).float()  # (B * T, V)
    return F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORE_INDEX, reduction="none")


def whole_logits(hidden: Tensor, head: Tensor) -> Tensor:
    """Return hidden @ head^T: (B, T, C), (V, C) -> (B, T, V)."""
    logits = F.linear(hidden, padded(head))
    return logits[..., : len(head)] if logits.shape[-1] > len(head) else logits


def padded(head: Tensor) -> Tensor:
    """Return the head, (V, C), with as many rows of zeros below it as its device is faster with."""
    missing = -len(head) % _VOCABULARY_MULTIPLE.get(head.device.type, 1)
    return F.pad(head, (0, 0, 0, missing)) if missing else head


def chunk_logits(device: torch.device) -> int:
    """Return how many logits `chunked_loss` holds at a time; the plain way is faster up to there."""
    return _CHUNK_LOGITS.get(device.type, _CHUNK_LOGITS_ELSEWHERE)


def chunked_loss(
    hidden: Tensor,
    head: Tensor,
    targets: Tensor,
    *,
    softcap: float | None = None,
    max_logits: int | None = None,
) -> Tensor:
    """Return the summed cross-entropy of softcap * tanh(hidden @ head^T / softcap), 0-dim, in nats.

    Products have the precision of autocast, sums at least float32. Its gradient can be taken once,
    and not be differentiated again.

    hidden: (N, C); head: (V, C); targets: (N,) int64 or IGNORE_INDEX; softcap: None: logits as they
    are; max_logits: of a chunk, None: what suits the device.

    Reference: Cut Your Losses, arXiv:2411.09009, for the idea that logits need no memory of their
    own; Liger Kernel, arXiv:2410.10989, section 3.2, for taking gradients in the forward pass.
    """
    kind = hidden.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else head.dtype
    limit = chunk_logits(hidden.device) if max_logits is None else max_logits
    nats: Tensor = _ChunkedLoss.apply(hidden, head, targets, softcap, limit, dtype)  # type: ignore[no-untyped-call]
    return nats


class _ChunkedLoss(torch.autograd.Function):
    """`chunked_loss`, with both gradients found on the way and scaled in the backward pass.

    With z = h W^T, c = softcap tanh(z / softcap) and p = softmax(c), a row with target y gives
        dz = (p - onehot(y)) * (1 - (c / softcap)^2),    dh = dz W,    dW += dz^T h.
    dz is at most 1, which float16 holds without a scale; the sums are float32, and a loss scale
    meets only those.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        softcap: float | None,
        max_logits: int,
        dtype: torch.dtype,
    ) -> Tensor:
        hidden_gradient = torch.empty_like(hidden)
        # A frozen head, as under LoRA, saves a tensor of its size and a third of its products.
        head_gradient = torch.zeros_like(head) if head.requires_grad else None
        num_chunks = -(-len(hidden) * len(head) // max_logits)
        parts = (x.tensor_split(num_chunks) for x in (hidden, targets, hidden_gradient))
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = padded(head.to(dtype))
            nats = [
                _learn_from_chunk(rows, wanted, matrix, len(head), softcap, gradient, head_gradient)
                for rows, wanted, gradient in zip(*parts, strict=True)
            ]
        ctx.gradients = (hidden_gradient, head_gradient)
        return torch.stack(nats).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradient of a chunked loss can be taken only once")
        # Scaled in place and given away: the head's gradient is as large as the head.
        hidden_gradient, head_gradient = ctx.gradients
        ctx.gradients = None
        of_head = None if head_gradient is None else head_gradient.mul_(scale)
        return hidden_gradient.mul_(scale), of_head, None, None, None, None


def _learn_from_chunk(
    hidden: Tensor,
    targets: Tensor,
    matrix: Tensor,
    vocab_size: int,
    softcap: float | None,
    hidden_gradient: Tensor,
    head_gradient: Tensor | None,
) -> Tensor:
    """Return the summed loss of n rows; write their gradient, (n, C), and add that of a head that learns.

    As much as can be is done in place: the (n, V) tensors are what takes memory here. Rows of `matrix` beyond
    the vocabulary have no probability.
    """
    counts = (targets != IGNORE_INDEX).unsqueeze(1)  # (n, 1)
    rows = hidden.to(matrix.dtype) * counts
    x = (rows @ matrix.mT).to(torch.promote_types(matrix.dtype, torch.float32))
    slope = None
    if softcap is not None:
        slope = x.div_(softcap).tanh_()
        x = slope * softcap
        slope = slope.square_().neg_().add_(1)
    x[:, vocab_size:] = -torch.inf
    index, ids = torch.arange(len(targets), device=targets.device), targets.clamp(min=0)
    x.sub_(x.amax(dim=-1, keepdim=True))
    of_target = x[index, ids]
    sums = x.exp_().sum(dim=-1, keepdim=True)
    losses = (sums.squeeze(1).log() - of_target).masked_fill_(~counts.squeeze(1), 0)
    x.div_(sums)[index, ids] -= 1
    dz = (x if slope is None else x.mul_(slope)).to(matrix.dtype)
    hidden_gradient.copy_((dz @ matrix).mul_(counts))
    if head_gradient is not None:
        _add_product(head_gradient, dz[:, :vocab_size], rows)
    return losses.sum()


def _add_product(total: Tensor, dz: Tensor, rows: Tensor) -> None:
    """Add dz^T rows, (V, C), to `total`; no second tensor of that size comes to be."""
    if total.dtype == dz.dtype:
        total.addmm_(dz.mT, rows)
        return
    for first in range(0, len(total), _HEAD_ROWS):
        part = slice(first, first + _HEAD_ROWS)
        total[part] += dz[:, part].mT @ rows
