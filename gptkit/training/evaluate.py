"""Evaluation: the mean loss over every token of a split, whichever way it is cut into batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gptkit.data.batches import IGNORE_INDEX, Batch
from gptkit.runtime.runtime import Runtime
from gptkit.training.loss import token_losses


class Windows(Protocol):
    """The batches of a split, by index."""

    def __len__(self) -> int: ...
    def batch(self, index: int) -> Batch: ...


@dataclass(frozen=True)
class Evaluation:
    """What a model knows about a split."""

    loss: float
    """Nats per token, or per pair of answers."""
    accuracy: float
    """Share of tokens that were the most likely one; of pairs whose chosen answer gained more."""
    tokens: int
    """What was scored: tokens, or pairs of answers."""
    bytes: int | None = None
    """UTF-8 bytes that those tokens stand for; None: not known."""
    bits_per_byte: float | None = None
    """Comparable between tokenizers. Special tokens, which stand for no bytes, are left out."""
    reward_margin: float | None = None
    """By how much the reward of chosen answers is above that of rejected ones; None: not of pairs."""

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely tokens the model seems to choose."""
        return math.exp(min(self.loss, 700.0))


def evaluate(
    model: nn.Module,
    windows: Windows,
    runtime: Runtime,
    token_bytes: np.ndarray | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Score each target of `windows` once; return None when `should_stop` said so.

    model: itself, not its replica: ranks may have different numbers of batches. It is left in the
    mode it was in. token_bytes: (V,) int64, bytes that each id stands for.
    """
    scored = _Sums(runtime, token_bytes)
    done = score_batches(
        model, windows, runtime, lambda batch: scored.add(model, batch), should_stop
    )
    return scored.result() if done else None


def score_batches(
    model: nn.Module,
    windows: Windows,
    runtime: Runtime,
    add: Callable[[Batch], None],
    should_stop: Callable[[], bool] | None = None,
) -> bool:
    """Give this rank's batches to `add`, on its device, one after another; False: `should_stop` said so.

    model: is in eval mode meanwhile. Of W ranks, rank r has the batches r, r + W, r + 2 W, ...
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in _of_this_rank(windows, runtime):
                if should_stop is not None and runtime.any_rank(should_stop()):
                    return False
                if batch is not None:
                    add(batch.to(runtime.device))
    finally:
        model.train(was_training)
    return True


def _of_this_rank(windows: Windows, runtime: Runtime) -> Iterator[Batch | None]:
    """Yield one batch of each round of `world_size`, None when the last round has none left."""
    for first in range(0, len(windows), runtime.world_size):
        index = first + runtime.rank
        yield windows.batch(index) if index < len(windows) else None


class _Sums:
    """Sums over tokens, in float64: float32 sums would depend on how the tokens are batched."""

    def __init__(self, runtime: Runtime, token_bytes: np.ndarray | None) -> None:
        self._runtime = runtime
        # mps has no float64
        device = "cpu" if runtime.device.type == "mps" else runtime.device
        # nats, hits, tokens, nats of tokens that stand for bytes, bytes
        self._sums = torch.zeros(5, dtype=torch.float64, device=device)
        self._bytes: Tensor | None = None
        if token_bytes is not None:
            self._bytes = torch.from_numpy(token_bytes.astype(np.int64)).to(device)

    def add(self, model: nn.Module, batch: Batch) -> None:
        """Score a batch."""
        with self._runtime.autocast():
            logits = model(batch.tokens, documents=batch.documents)
        there = self._sums.device
        nats = token_losses(logits, batch.targets).to(there).double()  # (B * T,)
        hits = (logits.argmax(dim=-1) == batch.targets).flatten().to(there)
        targets = batch.targets.flatten().to(there)
        scored = targets != IGNORE_INDEX
        parts = [nats.sum(), (hits & scored).sum(), scored.sum()]
        if self._bytes is not None:
            stands_for = torch.where(scored, self._bytes[targets.clamp(min=0)], 0)
            parts += [nats[stands_for > 0].sum(), stands_for.sum()]
        self._sums[: len(parts)] += torch.stack([part.double() for part in parts])

    def result(self) -> Evaluation:
        """Return the means over the tokens of all ranks."""
        total = self._runtime.sum_over_ranks(self._sums)
        nats, hits, tokens, byte_nats, num_bytes = total.tolist()
        known = self._bytes is not None
        return Evaluation(
            loss=nats / max(tokens, 1),
            accuracy=hits / max(tokens, 1),
            tokens=int(tokens),
            bytes=int(num_bytes) if known else None,
            bits_per_byte=byte_nats / math.log(2) / num_bytes if known and num_bytes else None,
        )
