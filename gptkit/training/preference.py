"""Preference: from pairs of answers to the loss that makes the chosen ones gain.

    reward of an answer  = beta (ln P(answer) - ln P(answer) under the reference model)
    loss of a pair       = -ln sigmoid(reward of the chosen answer - reward of the rejected one)

The reference model is the one that training began with; what it says of a pair comes along in the
batch, so that one model is in memory.

Reference: Direct Preference Optimization, arXiv:2305.18290, equation 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from gptkit.data.batches import Batch, PairBatch
from gptkit.runtime.runtime import Runtime
from gptkit.training.evaluate import Evaluation, Windows, score_batches
from gptkit.training.loss import chunk_logits, token_losses
from gptkit.training.objective import LanguageModel, takes_whole_logits
from gptkit.training.objective_config import DPOConfig


class DPOObjective(nn.Module):
    """The loss of pairs under `model`. A large vocabulary's logits are taken in chunks."""

    def __init__(self, model: nn.Module, beta: float) -> None:
        """model: a LanguageModel; its parameters are those of the objective."""
        super().__init__()
        self.model = model
        self.beta = beta

    def forward(
        self, tokens: Tensor, targets: Tensor, documents: Tensor | None, margins: Tensor
    ) -> Tensor:
        """Return the summed loss of the pairs, 0-dim float32; all as in `PairBatch`."""
        assert documents is not None
        nats = _losses(cast(LanguageModel, self.model), tokens, targets, documents)
        rewards = self.beta * (_preference(nats, documents, margins) - margins.nan_to_num())
        losses = -F.logsigmoid(rewards)
        return losses.masked_fill(margins.isnan(), 0.0).sum()


def build_dpo(section: DPOConfig, model: nn.Module) -> DPOObjective:
    """Return the objective that a config describes."""
    return DPOObjective(model, section.beta)


def evaluate_pairs(
    model: nn.Module,
    windows: Windows,
    runtime: Runtime,
    beta: float,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Score each pair of `windows` once; return None when `should_stop` said so.

    model: as in `evaluate`.
    """
    # pairs, nats, pairs whose chosen answer gained more, reward that it gained more
    sums = torch.zeros(4, dtype=torch.float64)

    def add(batch: Batch) -> None:
        assert isinstance(batch, PairBatch)
        chosen, rejected = _log_probs(model, batch, runtime).unbind(dim=1)
        there = ~batch.margins.isnan()
        rewards = (beta * (chosen - rejected - batch.margins))[there].cpu().double()
        sums[0] += len(rewards)
        sums[1] -= F.logsigmoid(rewards).sum()
        sums[2] += (rewards > 0).sum()
        sums[3] += rewards.sum()

    if not score_batches(model, windows, runtime, add, should_stop):
        return None
    pairs, nats, right, gained = runtime.sum_over_ranks(sums).tolist()
    return Evaluation(
        loss=nats / max(pairs, 1),
        accuracy=right / max(pairs, 1),
        tokens=int(pairs),
        reward_margin=gained / max(pairs, 1),
    )


def pair_log_probs(model: nn.Module, windows: Windows, runtime: Runtime) -> NDArray[np.float64]:
    """Return ln P of the chosen and of the rejected answer of each pair of `windows`: (pairs, 2)."""
    found: list[Tensor] = []
    counts = [0] * len(windows)

    def add(batch: Batch) -> None:
        assert isinstance(batch, PairBatch)
        log_probs = _log_probs(model, batch, runtime).mT[~batch.margins.isnan()]
        index = runtime.rank + len(found) * runtime.world_size
        counts[index] = len(log_probs)
        found.append(log_probs.cpu().double())

    score_batches(model, windows, runtime, add)
    total: list[int] = runtime.sum_over_ranks(torch.tensor(counts)).tolist()
    # Each rank fills in its own batches; the rest is 0.
    parts = [torch.zeros((count, 2), dtype=torch.float64) for count in total]
    parts[runtime.rank :: runtime.world_size] = found
    summed: NDArray[np.float64] = runtime.sum_over_ranks(torch.cat(parts)).numpy()
    return summed


def _log_probs(model: nn.Module, batch: PairBatch, runtime: Runtime) -> Tensor:
    """Return ln P of the answers of a batch: (B / 2, 2, P), 0 where there is no pair."""
    assert batch.documents is not None
    with runtime.autocast():
        nats = _losses(cast(LanguageModel, model), batch.tokens, batch.targets, batch.documents)
    return -_sums(nats, batch.documents, batch.margins.shape[1])


def _losses(model: LanguageModel, tokens: Tensor, targets: Tensor, documents: Tensor) -> Tensor:
    """Return the loss of each target in nats, 0 where there is none: (B, T)."""
    hidden = model.hidden(tokens, documents=documents)
    if takes_whole_logits(model, hidden):
        return token_losses(model.unembed(hidden), targets).view_as(targets)

    def chunk(rows: Tensor, wanted: Tensor) -> Tensor:
        return token_losses(model.unembed(rows).unsqueeze(0), wanted)

    # `chunked_loss` takes gradients on the way, but what a loss counts for here is known only once
    # all of its answer is summed up. So the backward pass makes the logits a second time.
    assert model.head_weight is not None
    num_chunks = -(-targets.numel() * len(model.head_weight) // chunk_logits(hidden.device))
    parts = (part.tensor_split(num_chunks) for part in (hidden.flatten(0, 1), targets.flatten()))
    nats = [checkpoint(chunk, *part, use_reentrant=False) for part in zip(*parts, strict=True)]
    return torch.cat(nats).view_as(targets)


def _preference(nats: Tensor, documents: Tensor, margins: Tensor) -> Tensor:
    """Return ln P(chosen) - ln P(rejected) of each pair: (B / 2, P)."""
    sums = _sums(nats, documents, margins.shape[1])
    return sums[:, 1] - sums[:, 0]


def _sums(nats: Tensor, documents: Tensor, num_pairs: int) -> Tensor:
    """Return the nats of each answer: (B, T) -> (B / 2, 2, P).

    No scatter: on a GPU its sums depend on which thread comes first.
    """
    numbers = torch.arange(num_pairs, device=documents.device)
    belongs = documents.unsqueeze(2) == numbers  # (B, T, P)
    return (nats.unsqueeze(2) * belongs).sum(dim=1).view(-1, 2, num_pairs)
