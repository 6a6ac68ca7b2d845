"""Curves as text: the first series as a line of braille dots, the others as marks on top of it.

4.17 ┤⢣                    . train loss   o val loss
     │ ⠱⡀
2.83 ┤  ⠈o⠢⢄⡀
     │       ⠈⠉o⠒⠤⢄⣀⡀
1.49 ┤              ⠉⠉o⠒⠒⠒o
     └────────────────────────
     0        step        5,000
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TextIO

Point = tuple[float, float]
Dot = tuple[int, int]
"""Column and row of a dot, from the top left; a character is 2 dots wide and 4 high."""

_MARKS = "ox+*#%"
_BRAILLE = 0x2800
_DOT_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by column, then row


def draw_curve(
    series: Mapping[str, Sequence[Point]], width: int = 72, height: int = 18, unicode: bool = True
) -> str:
    """Return a plot of (step, value) series, `width` x `height` characters with axes and legend.

    unicode: False for a stream that prints ASCII only (see `prints_unicode`). Values that are not
    finite are left out. Too small a size is taken as 24 x 7.
    """
    width, height = max(width, 24), max(height, 7)
    finite = {name: points for name, given in series.items() if (points := _finite(given))}
    if not finite:
        return "nothing to draw yet"
    every = [point for points in finite.values() for point in points]
    rows = height - 3
    value_scale = _Scale.over([y for _, y in every], rows * 4)
    labels = _value_labels(value_scale, rows)
    margin = max(map(len, labels.values())) + 2
    columns = width - margin
    step_scale = _Scale.over([x for x, _ in every], columns * 2)
    canvas = _Canvas(columns, rows, unicode)
    for i, points in enumerate(finite.values()):
        dots = _thin(
            [(step_scale.place(x), rows * 4 - 1 - value_scale.place(y)) for x, y in points]
        )
        if i == 0:
            canvas.draw_line(dots)
        else:
            canvas.draw_marks(dots, _MARKS[(i - 1) % len(_MARKS)])
    tick, bar, corner, dash = "┤│└─" if unicode else "+|+-"
    lines = [_legend(list(finite), width)]
    for row, text in enumerate(canvas.lines()):
        label = labels.get(row, "")
        lines.append(f"{label:>{margin - 2}} {tick if label else bar}{text}")
    lines.append(" " * (margin - 1) + corner + dash * columns)
    lines.append(" " * margin + _step_labels(step_scale, columns))
    return "\n".join(line.rstrip() for line in lines)


def prints_unicode(stream: TextIO) -> bool:
    """Say whether a stream's encoding has the characters of a unicode plot."""
    try:
        "⣿┤│└─".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@dataclass(frozen=True)
class _Scale:
    """Puts the values from `low` to `high` on `cells` places."""

    low: float
    high: float
    cells: int

    @classmethod
    def over(cls, values: Sequence[float], cells: int) -> _Scale:
        low, high = min(values), max(values)
        if not high - low > 1e-12 * max(abs(low), abs(high)):  # one value: in the middle
            room = abs(low) * 0.1 or 1.0
            low, high = low - room, high + room
        return cls(low, high, cells)

    def place(self, value: float) -> int:
        # Halves first: high - low of two huge values would be infinite.
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return min(self.cells - 1, max(0, round(share * (self.cells - 1))))

    def value(self, share: float) -> float:
        return self.low * (1 - share) + self.high * share


class _Canvas:
    """Characters of the plot: dots of a line, marks above them."""

    def __init__(self, columns: int, rows: int, unicode: bool) -> None:
        self._columns, self._rows, self._unicode = columns, rows, unicode
        self._bits: dict[tuple[int, int], int] = {}
        self._marks: dict[tuple[int, int], str] = {}

    def draw_line(self, dots: Sequence[Dot]) -> None:
        for x, y in _joined(dots):
            cell = (x // 2, y // 4)
            self._bits[cell] = self._bits.get(cell, 0) | _DOT_BITS[x % 2][y % 4]

    def draw_marks(self, dots: Sequence[Dot], mark: str) -> None:
        self._marks.update(((x // 2, y // 4), mark) for x, y in dots)

    def lines(self) -> Iterator[str]:
        for row in range(self._rows):
            yield "".join(self._character((column, row)) for column in range(self._columns))

    def _character(self, cell: tuple[int, int]) -> str:
        if cell in self._marks:
            return self._marks[cell]
        bits = self._bits.get(cell, 0)
        if not bits:
            return " "
        return chr(_BRAILLE + bits) if self._unicode else "."


def _finite(points: Sequence[Point]) -> list[Point]:
    return sorted(point for point in points if all(map(math.isfinite, point)))


def _thin(dots: Sequence[Dot]) -> list[Dot]:
    """Keep what decides a drawn line: the first, highest, lowest and last dot of each column."""
    columns: dict[int, list[int]] = {}
    for x, y in dots:
        columns.setdefault(x, []).append(y)
    return [(x, y) for x, ys in columns.items() for y in (ys[0], min(ys), max(ys), ys[-1])]


def _joined(dots: Sequence[Dot]) -> Iterator[Dot]:
    """Yield the dots and those on the straight lines between neighbours."""
    yield dots[0]
    for (x, y), (next_x, next_y) in pairwise(dots):
        length = max(abs(next_x - x), abs(next_y - y))
        for i in range(1, length + 1):
            yield x + round((next_x - x) * i / length), y + round((next_y - y) * i / length)


def _value_labels(scale: _Scale, rows: int) -> dict[int, str]:
    """Return the labels of the value axis by row, with as many decimals as tell them apart."""
    ticks = max(2, rows // 4 + 1)
    span = scale.high - scale.low
    decimals = max(0, 2 - math.floor(math.log10(span))) if 1e-6 < span < 1e6 else None
    labels = {}
    for i in range(ticks):
        row = round(i * (rows - 1) / (ticks - 1))
        value = scale.value(1 - row / (rows - 1))
        labels[row] = f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"
    return labels


def _step_labels(scale: _Scale, columns: int) -> str:
    first, last = (f"{value:,.10g}" for value in (scale.low, scale.high))
    middle = "step".center(columns - len(first) - len(last))
    return f"{first}{middle}{last}"


def _legend(names: Sequence[str], width: int) -> str:
    entries = [f"{mark} {name}" for mark, name in zip("." + _MARKS, names, strict=False)]
    return "   ".join(entries)[:width].rjust(width)
