"""From values to places on a plot: ranges, ticks, and how few points draw the same line."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BUCKETS = 1500
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def thin(x: Array, y: Array, buckets: int = _BUCKETS) -> tuple[Array, Array]:
    """Return the points that decide a drawn line: lowest and highest of each of `buckets` stretches, in order.

    No peak is lost; a plot is narrower than so many pixels.
    """
    if len(x) <= 2 * buckets:
        return x, y
    stretch = np.arange(len(x)) * buckets // len(x)
    starts = np.searchsorted(stretch, np.arange(buckets))
    order = np.lexsort((y, stretch))  # by stretch, then by value
    ends = np.append(starts[1:], len(x)) - 1
    kept = np.unique(np.concatenate(([0], order[starts], order[ends], [len(x) - 1])))
    return x[kept], y[kept]


def span(values: Iterable[Array]) -> tuple[float, float]:
    """Return a range that holds all values, never empty."""
    every = np.concatenate([np.asarray(part, np.float64) for part in values] or [np.zeros(1)])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low, high


def ticks(
    low: float, high: float, about: int = 5, *, whole: bool = False
) -> list[tuple[float, str]]:
    """Return round values between `low` and `high` with their labels; whole: only integers.

    >>> ticks(0, 100_000)[1]
    (20000.0, '20,000')
    >>> [label for _, label in ticks(1.31, 1.52)]
    ['1.35', '1.40', '1.45', '1.50']
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.7), default=raw)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [i * step for i in range(first, last + 1)]
    unit, suffix = _unit(max(abs(low), abs(high)))
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return [(value, f"{value / unit:,.{decimals}f}{suffix}") for value in values]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return places between the powers of ten `low` and `high`, with labels of the values: 1, 2 and 5 of each decade.

    >>> [label for _, label in log_ticks(-4, -3)]
    ['0.0001', '0.0002', '0.0005', '0.001']
    """
    leading = (1, 2, 5) if high - low <= 2 else (1,)
    decades = range(math.floor(low), math.ceil(high) + 1)
    places = [(d + math.log10(m), float(f"{m}e{d}")) for d in decades for m in leading]
    return [(place, f"{value:g}") for place, value in places if low <= place <= high]


def _unit(largest: float) -> tuple[float, str]:
    return next(((unit, suffix) for unit, suffix in _SUFFIXES if largest >= unit), (1.0, ""))
