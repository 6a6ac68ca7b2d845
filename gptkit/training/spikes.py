"""Is a loss far outside what the steps before it had?

    ... 2.31 2.28 2.35 2.29 2.30 | 6.7        median 2.30, deviation 0.02: 220 deviations above

A median and a median deviation, not a mean and a variance: the spikes themselves do not move them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 128
"""Losses that a step is compared with."""

# The median deviation of a normal distribution is this much smaller than its standard deviation.
_NORMAL = 1.4826
# With fewer losses their spread is not known.
_ENOUGH = 16
# A batch of other text costs more, and a model that knows its text by heart has hardly any spread.
# Parts of ln V, what a uniform guess costs: a rise by less than this is no collapse.
_SMALLEST_RISE = 0.25
_SMALLEST_EARLY_RISE = 2.0


class SpikeWatch:
    """Compares the loss of a step with the last ones, on the device that it is on.

    Reading the answer waits for the device; asking does not.
    """

    def __init__(
        self, threshold: float | None, *, vocab_size: int, device: torch.device | str = "cpu"
    ) -> None:
        """threshold: standard deviations above the median; None: nothing is a spike."""
        self._threshold = math.inf if threshold is None else threshold
        self._uniform_loss = math.log(vocab_size)
        self._losses = torch.full((WINDOW,), math.nan, device=device)
        self._count = 0

    def deviations(self, loss: Tensor) -> Tensor:
        """Return how far `loss` (0-dim) is above the median, in units of what would be a spike.

        Above 1 it is one. NaN while there is nothing to compare with.
        """
        median = self._losses.nanmedian()
        if self._count < _ENOUGH:
            limit = torch.full_like(median, _SMALLEST_EARLY_RISE * self._uniform_loss)
        else:
            spread = _NORMAL * (self._losses - median).abs_().nanmedian()
            limit = (self._threshold * spread).clamp_(min=_SMALLEST_RISE * self._uniform_loss)
        return (loss - median) / limit

    def note(self, loss: Tensor) -> None:
        """Take in the loss (0-dim) of a step that was no spike; the oldest one is forgotten."""
        self._losses[self._count % WINDOW] = loss.detach()
        self._count += 1

    def losses(self) -> list[float]:
        """Return the losses that steps are compared with, oldest first."""
        kept: list[float] = self._losses.tolist()
        if self._count <= WINDOW:
            return kept[: self._count]
        oldest = self._count % WINDOW
        return kept[oldest:] + kept[:oldest]

    def start_from(self, losses: Sequence[float]) -> None:
        """Forget everything but these losses, oldest first."""
        assert len(losses) <= WINDOW
        self._losses.fill_(math.nan)
        self._losses[: len(losses)] = torch.tensor(losses)
        self._count = len(losses)
