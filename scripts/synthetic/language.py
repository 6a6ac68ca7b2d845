"""What the exam asks of a language."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Language(Protocol):
    """A source of tokens below `vocab_size`."""

    @property
    def vocab_size(self) -> int:
        """How many different tokens it has."""

    def text(self, length: int, chance: Generator) -> IntArray:
        """Return (length,) tokens of it."""

    def nats(self, windows: IntArray) -> FloatArray:
        """Return -ln P of all tokens but the first of each window: (n, T + 1) -> (n, T)."""
