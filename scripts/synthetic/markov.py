"""A Markov chain of order 2: the next token depends on the last two."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from synthetic.language import FloatArray, IntArray


class Markov:
    """Random probabilities behind each pair of tokens, from Dirichlet(concentration)."""

    def __init__(self, vocab_size: int = 8, concentration: float = 0.5, seed: int = 1) -> None:
        self.vocab_size = vocab_size
        chance = np.random.default_rng(seed)
        weights = np.full(vocab_size, concentration)
        # Never 0: a token that cannot come would make a mistake infinitely bad.
        steps = chance.dirichlet(weights, size=(vocab_size, vocab_size)) + 1e-3
        self.steps: FloatArray = steps / steps.sum(axis=-1, keepdims=True)
        """(V, V, V): P(c | a b)."""

    @property
    def pairs(self) -> FloatArray:
        """How often each pair comes, (V, V): the distribution that a step leaves as it is."""
        found = np.full((self.vocab_size, self.vocab_size), 1 / self.vocab_size**2)
        for _ in range(500):
            found = np.einsum("ab,abc->bc", found, self.steps)
        return found

    @property
    def rate(self) -> float:
        """Entropy per token with the whole past, in nats."""
        entropies = -(self.steps * np.log(self.steps)).sum(axis=-1)
        return float((self.pairs * entropies).sum())

    def text(self, length: int, chance: Generator) -> IntArray:
        cumulated = self.steps.cumsum(axis=-1)
        draws = chance.random(length)
        tokens = np.zeros(length, np.int64)
        for i in range(2, length):
            row = cumulated[tokens[i - 2], tokens[i - 1]]
            tokens[i] = min(int(np.searchsorted(row, draws[i])), self.vocab_size - 1)
        return tokens

    def nats(self, windows: IntArray) -> FloatArray:
        after_one = np.einsum("ab,abc->bc", self.pairs, self.steps)
        after_one /= after_one.sum(axis=-1, keepdims=True)
        first = after_one[windows[:, 0], windows[:, 1]]
        rest = self.steps[windows[:, :-2], windows[:, 1:-1], windows[:, 2:]]
        nats: FloatArray = -np.log(np.concatenate((first[:, None], rest), axis=1))
        return nats
