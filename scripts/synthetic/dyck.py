"""Nested brackets of several kinds, at most so deep: what closes must be what was opened last."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from synthetic.language import FloatArray, IntArray


class Dyck:
    """Opens with chance `push` where it may do both; tokens 0..k-1 open, k..2k-1 close."""

    def __init__(self, kinds: int = 3, push: float = 0.5, deepest: int = 6) -> None:
        self.kinds, self.deepest = kinds, deepest
        self.vocab_size = 2 * kinds
        self.opens = np.full(deepest + 1, push)
        """(depths,) chance of opening one more."""
        self.opens[0], self.opens[-1] = 1.0, 0.0

    @property
    def depths(self) -> FloatArray:
        """Share of the time at each depth: what goes up from a depth comes down to it."""
        found = np.ones(self.deepest + 1)
        for d in range(self.deepest):
            found[d + 1] = found[d] * self.opens[d] / (1 - self.opens[d + 1])
        shares: FloatArray = found / found.sum()
        return shares

    @property
    def rate(self) -> float:
        """Entropy per token with the whole past, in nats: to open or to close, and which kind to open."""
        inner = self.opens[1:-1]
        choice = -(inner * np.log(inner) + (1 - inner) * np.log(1 - inner))
        which = self.opens * math.log(self.kinds)
        return float((self.depths[1:-1] * choice).sum() + (self.depths * which).sum())

    def text(self, length: int, chance: Generator) -> IntArray:
        stack: list[int] = []
        tokens = np.zeros(length, np.int64)
        draws, kinds = chance.random(length), chance.integers(self.kinds, size=length)
        for i in range(length):
            if draws[i] < self.opens[len(stack)]:
                stack.append(int(kinds[i]))
                tokens[i] = kinds[i]
            else:
                tokens[i] = self.kinds + stack.pop()
        return tokens

    def nats(self, windows: IntArray) -> FloatArray:
        return np.stack([self._of_window(window.tolist()) for window in windows])

    def _of_window(self, window: list[int]) -> FloatArray:
        """Follow the brackets opened in the window, and guess how many are open from before it."""
        known: list[int] = []  # brackets of the window that are open
        before = self.depths  # chance of each number of brackets that are open from before it
        nats = []
        for token in window:
            depth = np.arange(self.deepest + 1) + len(known)
            possible = before * (depth <= self.deepest)
            opens = self.opens[np.minimum(depth, self.deepest)]
            if token < self.kinds:
                joint = possible * opens / self.kinds
                known.append(token)
            elif known:
                joint = possible * (1 - opens) * (known.pop() == token - self.kinds)
            else:
                joint = np.append(possible[1:] * (1 - opens[1:]) / self.kinds, 0.0)
            likely = joint.sum()
            if likely == 0:
                return np.full(len(window) - 1, np.inf)  # no text of this language
            nats.append(-math.log(likely))
            before = joint / likely
        return np.array(nats[1:])
