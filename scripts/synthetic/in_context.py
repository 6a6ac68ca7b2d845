"""Markov chains that change: each stretch has probabilities of its own, to be learned while reading it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from synthetic.language import FloatArray, IntArray


class InContextMarkov:
    """Stretches of a chain of order 1 whose rows are drawn from Dirichlet(concentration).

    The last token ends a stretch; it comes with the same chance at each place, so that nothing is
    gained by counting.
    """

    def __init__(
        self, symbols: int = 4, concentration: float = 0.5, mean_length: float = 80.0
    ) -> None:
        self.symbols, self.concentration = symbols, concentration
        self.vocab_size = symbols + 1
        self.end = 1 / mean_length
        """Chance that a stretch ends."""

    def text(self, length: int, chance: Generator) -> IntArray:
        tokens = np.full(length, self.symbols, np.int64)
        ends, draws = chance.random(length) < self.end, chance.random(length)
        cumulated = self._chain(chance)
        for i in range(1, length):
            if ends[i]:
                cumulated = self._chain(chance)
            elif tokens[i - 1] == self.symbols:
                tokens[i] = int(draws[i] * self.symbols)
            else:
                place = np.searchsorted(cumulated[tokens[i - 1]], draws[i])
                tokens[i] = min(int(place), self.symbols - 1)
        return tokens

    def _chain(self, chance: Generator) -> FloatArray:
        rows = chance.dirichlet(np.full(self.symbols, self.concentration), size=self.symbols)
        return np.asarray(rows.cumsum(axis=1))

    def nats(self, windows: IntArray) -> FloatArray:
        """Take the mean over all chains, as what was read so far makes them likely: (n_ij + a) / (n_i + V a)."""
        return np.stack([self._of_window(window.tolist()) for window in windows])

    def _of_window(self, window: list[int]) -> FloatArray:
        size = (self.symbols, self.symbols)
        counts = np.full(size, self.concentration)
        nats = []
        for before, token in pairwise(window):
            if token == self.symbols:
                nats.append(-math.log(self.end))
                counts = np.full(size, self.concentration)
                continue
            likely = 1 / self.symbols
            if before != self.symbols:
                likely = counts[before, token] / counts[before].sum()
                counts[before, token] += 1
            nats.append(-math.log((1 - self.end) * likely))
        return np.array(nats)
