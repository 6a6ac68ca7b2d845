"""Sums on a clock: a, b, then (a + b) mod p, each of the three in digits of its own."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from synthetic.language import FloatArray, IntArray


class ModularAddition:
    """Tokens 0..p-1 are a, p..2p-1 are b, 2p..3p-1 are sums: a token says where in a sum it stands."""

    def __init__(self, modulus: int = 11) -> None:
        self.modulus = modulus
        self.vocab_size = 3 * modulus

    @property
    def rate(self) -> float:
        """Entropy per token with the whole past, in nats."""
        return float(2 * np.log(self.modulus) / 3)

    def text(self, length: int, chance: Generator) -> IntArray:
        a, b = chance.integers(self.modulus, size=(2, -(-length // 3)))
        p = self.modulus
        sums = np.stack((a, p + b, 2 * p + (a + b) % p), axis=1)
        return np.asarray(sums.reshape(-1)[:length], np.int64)

    def nats(self, windows: IntArray) -> FloatArray:
        p = self.modulus
        role, number = windows // p, windows % p
        nats = np.full(windows.shape, np.log(p))
        # A sum is certain where both of its numbers are in the window.
        right = (number[:, :-2] + number[:, 1:-1]) % p == number[:, 2:]
        is_sum = role[:, 2:] == 2
        nats[:, 2:][is_sum & right] = 0.0
        nats[:, 2:][is_sum & ~right] = np.inf
        nats[:, 1:][role[:, 1:] != (role[:, :-1] + 1) % 3] = np.inf
        return nats[:, 1:]
