"""The loss: cross-entropy as a sum and a count, so that parts of a batch add up to the whole."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gptkit.data.batches import IGNORE_INDEX


def next_token_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed loss in nats, float32, and the number of targets, int64; both 0-dim.

    logits: (B, T, V) of any precision; targets: (B, T) int64, IGNORE_INDEX where nothing is to be
    predicted.
    """
    nats = token_losses(logits, targets).sum()
    return nats, (targets != IGNORE_INDEX).sum()


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each target in nats, float32, 0 where there is none: (B * T,).

    logits: (B, T, V); targets: (B, T).
    """
    flat = logits.flatten(0, 1).float()  # (B * T, V)
    return F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORE_INDEX, reduction="none")
