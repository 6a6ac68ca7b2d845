"""Shuffling as a pure function: the place of a window in an epoch, computed and never stored.

Built on an integer hash of our own: neither NumPy nor torch promises the same random numbers in
another version, and a run resumed there must see the windows that it would have seen here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST_TABLE = 10**7
"""Up to so many elements an order is sorted once (2 s, 80 MB), above computed place by place."""

_MASK = 2**64 - 1
_ROUNDS = 8


def mix(*numbers: int) -> int:
    """Return 64 bits that depend on every bit of every number and on their order."""
    state = 0
    for number in numbers:
        state = int(splitmix64(np.array([(state ^ number) & _MASK], np.uint64))[0])
    return state


def splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a hash of each number; a bijection of the 64-bit numbers.

    Reference: Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Shuffle:
    """The numbers 0 to n - 1 in an order that `key` decides."""

    def __init__(self, n: int, key: int, *, largest_table: int = LARGEST_TABLE) -> None:
        self.n = n
        self._key = np.uint64(key)
        self._table = self._sorted() if n <= largest_table else None
        self._half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number at each place."""
        assert ((places >= 0) & (places < self.n)).all()
        return self._walk(places) if self._table is None else self._table[places]

    def _sorted(self) -> NDArray[np.int64]:
        hashes = splitmix64(np.arange(self.n, dtype=np.uint64) ^ self._key)
        return np.argsort(hashes, kind="stable")

    def _walk(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Follow each place through a permutation of a power of four until it is below n again.

        A path through a bijection returns to where it began, so it meets a number below n there at
        the latest, and no two places meet the same one. On average it takes less than four steps.

        Reference: Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002, section 4.
        """
        x = self._feistel(places.astype(np.uint64))
        while (outside := x >= self.n).any():
            x[outside] = self._feistel(x[outside])
        return x.astype(np.int64)

    def _feistel(self, x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Permute the numbers of 2 * half bits."""
        mask = (np.uint64(1) << self._half) - np.uint64(1)
        left, right = x >> self._half, x & mask
        for i in range(_ROUNDS):
            round_key = splitmix64(np.array([self._key ^ np.uint64(i)], np.uint64))
            left, right = right, left ^ (splitmix64(right ^ round_key) & mask)
        return (left << self._half) | right
