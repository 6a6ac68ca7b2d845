"""Each token of a split under a model: how likely it was, how high it stood, how sure the model was.

All else that an evaluation says is a sum over these rows, in `reading`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gptkit.data.batches import IGNORE_INDEX, Batch
from gptkit.runtime.runtime import Runtime
from gptkit.training.loss import token_losses


@dataclass(frozen=True)
class TokenScores:
    """One row for each scored token, in the order of the text: (N,) each."""

    nats: NDArray[np.float64]
    """-ln P of the token that came."""
    ranks: NDArray[np.int64]
    """How many tokens were likelier: 0 for a hit."""
    confidence: NDArray[np.float64]
    """Probability of the likeliest token."""
    positions: NDArray[np.int64]
    """Tokens that the model saw before it, at least 1."""


def score_tokens(model: nn.Module, windows: Iterable[Batch], runtime: Runtime) -> TokenScores:
    """Score every target of `windows` once, in eval mode; the model is left in the mode it was in."""
    parts: list[tuple[NDArray[Any], ...]] = []
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in windows:
                batch = batch.to(runtime.device)
                with runtime.autocast():
                    logits = model(batch.tokens, documents=batch.documents)
                seen = _tokens_seen(batch.tokens, batch.documents)
                parts.append(_score(logits, batch.targets, seen))
    finally:
        model.train(was_training)
    nats, ranks, confidence, positions = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return TokenScores(nats, ranks, confidence, positions)


def _score(logits: Tensor, targets: Tensor, seen: Tensor) -> tuple[NDArray[Any], ...]:
    """logits: (B, T, V); targets, seen: (B, T) -> four arrays of as many rows as targets count."""
    counts = (targets != IGNORE_INDEX).flatten()
    nats = token_losses(logits, targets)[counts]
    flat = logits.flatten(0, 1)[counts]  # (n, V)
    wanted = targets.flatten()[counts].unsqueeze(1)
    of_target = flat.gather(1, wanted)
    # Of equally likely tokens the first counts as the higher, so that a model without an opinion
    # hits as rarely as chance.
    ties_before = (flat == of_target) & (torch.arange(flat.shape[1], device=flat.device) < wanted)
    ranks = ((flat > of_target) | ties_before).sum(dim=1)
    confidence = (flat.amax(dim=1).float() - flat.float().logsumexp(dim=1)).exp()
    return (
        nats.cpu().double().numpy(),
        ranks.cpu().numpy(),
        confidence.cpu().double().numpy(),
        seen.flatten()[counts].cpu().numpy(),
    )


def _tokens_seen(tokens: Tensor, documents: Tensor | None) -> Tensor:
    """Return how many tokens each position attends to, itself included: (B, T)."""
    index = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    if documents is None:
        return index + 1
    is_start = torch.ones_like(documents, dtype=torch.bool)
    is_start[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return index - torch.where(is_start, index, 0).cummax(dim=1).values + 1
