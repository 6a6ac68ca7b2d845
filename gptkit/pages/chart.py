"""Curves as inline SVG that fits any width: the picture stretches, lines and labels do not.

    +-- figure.chart -------------------------------+
    | title, legend                                 |
    | ticks |  svg: a box of 10,000 x 10,000 units, |     labels are HTML beside the picture, so they
    |       |  stretched over the frame             |     stay readable at 400 pixels
    |       +-- ticks of x ------------------------ |
    +-----------------------------------------------+

chart.js adds zoom (drag) and values under the pointer; without it the curves are there all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gptkit.pages.html import Child, Html, element, join
from gptkit.pages.scale import Array, log_ticks, span, thin, ticks

BOX = 10_000
_MARGIN = 0.04
_SIDE = 0.015  # room for half a dot
_COLORS = 8
_MOST_DOTS = 80
_LINES = {"faint": "line faint", "dots": "unseen"}


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str
    x: Sequence[float] | Array
    y: Sequence[float] | Array
    color: int = 0
    style: Literal["line", "faint", "marked", "dots"] = "line"
    """faint: a noisy curve behind a smooth one; marked: with a dot at each point; dots: these alone."""


@dataclass(frozen=True)
class Level:
    """A dashed line across the plot at a value that has a name."""

    name: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Curves over one axis."""

    title: str
    x_label: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()
    note: str = ""
    log_x: bool = False
    """Whether equal factors of x are equally far apart; all x are above 0 then."""
    from_zero: bool = False
    """Whether y begins at 0 whatever the values are."""


@dataclass(frozen=True)
class _Frame:
    x0: float
    x1: float
    y0: float
    y1: float
    is_log: bool
    """Whether x0 and x1 are powers of ten."""
    is_whole: bool
    """Whether there is nothing between 1 and 2, as of steps or layers."""

    def x(self, value: Array | float) -> Array:
        return (np.asarray(value, np.float64) - self.x0) / (self.x1 - self.x0) * BOX

    def y(self, value: Array | float) -> Array:
        return (self.y1 - np.asarray(value, np.float64)) / (self.y1 - self.y0) * BOX

    def x_ticks(self) -> list[tuple[float, str]]:
        return (
            log_ticks(self.x0, self.x1)
            if self.is_log
            else ticks(self.x0, self.x1, whole=self.is_whole)
        )


def chart(what: Chart) -> Html:
    """Return the figure; nothing to draw is said in words."""
    series = [cleaned for one in what.series if len((cleaned := _finite(one, what.log_x)).x)]
    caption = element("figcaption", what.title, *_note(what.note))
    if not series:
        return element("figure", caption, element("p", "Nothing to draw yet.", class_="soft"))
    frame = _frame(series, what)
    picture = element(
        "svg",
        _grid(frame),
        *(_level_line(level, frame) for level in what.levels),
        *(_curve(one, frame) for one in series),
        viewBox=f"0 0 {BOX} {BOX}",
        preserveAspectRatio="none",
        role="img",
        aria_label=_in_words(what, series),
    )
    return element(
        "figure",
        caption,
        _legend(series),
        element("div", picture, _labels(frame, what), class_="frame"),
        class_="chart",
        data_x0=frame.x0,
        data_x1=frame.x1,
        data_y0=frame.y0,
        data_y1=frame.y1,
        data_x_name=what.x_label,
        data_log=frame.is_log,
        data_whole=frame.is_whole,
    )


def smoothed(x: Array, y: Array, share: float = 0.03) -> tuple[Array, Array]:
    """Return the mean of y over `share` of the points around each: no lag, unlike a running average."""
    half = int(len(y) * share / 2)
    if half < 1:
        return x, y
    sums = np.concatenate(([0.0], np.cumsum(y)))
    at = np.arange(len(y))
    reach = np.minimum(half, np.minimum(at, len(y) - 1 - at))  # the same on both sides
    return x, (sums[at + reach + 1] - sums[at - reach]) / (2 * reach + 1)


def _finite(one: Series, log_x: bool) -> Series:
    x, y = np.asarray(one.x, np.float64), np.asarray(one.y, np.float64)
    x = np.log10(x) if log_x else x
    keep = np.isfinite(x) & np.isfinite(y)
    return Series(one.name, *thin(x[keep], y[keep]), one.color % _COLORS, one.style)


def _frame(series: Sequence[Series], what: Chart) -> _Frame:
    every_x = [np.asarray(one.x, np.float64) for one in series]
    x0, x1 = span(every_x)
    zero = [np.zeros(1)] if what.from_zero else []
    levels = np.array([level.value for level in what.levels])
    y0, y1 = span([*(np.asarray(one.y) for one in series), levels, *zero])
    room = (y1 - y0) * _MARGIN
    left = x0 - (x1 - x0) * _SIDE if any(map(_has_dots, series)) else x0
    below = y0 if what.from_zero else y0 - room
    is_whole = not what.log_x and all(bool((x == np.round(x)).all()) for x in every_x)
    return _Frame(left, x1 + (x1 - x0) * _SIDE, below, y1 + room, what.log_x, is_whole)


def _has_dots(one: Series) -> bool:
    few = one.style == "marked" and len(one.x) <= _MOST_DOTS
    return few or one.style == "dots" or len(one.x) == 1


def _curve(one: Series, frame: _Frame) -> Html:
    places = np.stack((frame.x(np.asarray(one.x)), frame.y(np.asarray(one.y))), axis=1)
    points = [f"{x:.1f},{y:.1f}" for x, y in places.tolist()]
    line = element("polyline", points=" ".join(points), class_=_LINES.get(one.style, "line"))
    dots = None
    if _has_dots(one):
        # A stroke without length has round ends: a dot that keeps its shape in a stretched picture.
        dots = element("path", d="".join(f"M{point}h0" for point in points), class_="dots")
    return element("g", line, dots, class_=f"series c{one.color}", data_name=one.name)


def _grid(frame: _Frame) -> Html:
    columns = "".join(f"M{frame.x(x):.1f} 0V{BOX}" for x, _ in frame.x_ticks())
    rows = "".join(f"M0 {frame.y(y):.1f}H{BOX}" for y, _ in ticks(frame.y0, frame.y1))
    return element("path", d=columns + rows, class_="grid")


def _level_line(level: Level, frame: _Frame) -> Html:
    return element("path", d=f"M0 {frame.y(level.value):.1f}H{BOX}", class_="level")


def _labels(frame: _Frame, what: Chart) -> Html:
    def place(value: Array) -> str:
        return f"{float(value) / BOX * 100:.2f}%"

    below = (
        element("span", label, class_="tick x", style=f"left:{place(frame.x(x))}")
        for x, label in frame.x_ticks()
    )
    beside = (
        element("span", label, class_="tick y", style=f"top:{place(frame.y(y))}")
        for y, label in ticks(frame.y0, frame.y1)
    )
    names = (
        element(
            "span",
            f"{level.name} {level.value:.3f}",
            class_="level-name",
            style=f"top:{place(frame.y(level.value))}",
            data_at=f"{float(frame.y(level.value)):.1f}",
        )
        for level in what.levels
    )
    return join((*below, *beside, *names, element("span", what.x_label, class_="axis")))


def _legend(series: Sequence[Series]) -> Html | None:
    """Return the names of the curves; one alone has that of the chart."""
    keys = [
        element("span", one.name, class_=f"key c{one.color}")
        for one in series
        if one.style != "faint"
    ]
    return element("div", *keys, class_="legend") if len(keys) > 1 else None


def _note(note: str) -> tuple[Child, ...]:
    return (" ", element("small", note)) if note else ()


def _in_words(what: Chart, series: Sequence[Series]) -> str:
    ends = "; ".join(f"{one.name} from {one.y[0]:.4g} to {one.y[-1]:.4g}" for one in series)
    return f"{what.title} over {what.x_label}: {ends}"
