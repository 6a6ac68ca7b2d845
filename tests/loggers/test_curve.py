"""A drawn curve shows the values where they belong."""

from __future__ import annotations

import io
import math
import random

import pytest

from gptkit.loggers.curve import Point, draw_curve, prints_unicode

SIZES = [(24, 7), (60, 14), (72, 18), (200, 50), (3, 2)]


def curve(seed: int, length: int = 300) -> list[Point]:
    chance = random.Random(seed)
    return [(step, 2 + math.exp(-step / 50) + chance.gauss(0, 0.1)) for step in range(length)]


def rows(plot: str) -> list[str]:
    """Return the insides of the axes, a string per row from the top."""
    return [
        line.split(bar, 1)[1] for line in plot.splitlines()[1:-2] for bar in "┤│+|" if bar in line
    ]


def marked(row: str) -> bool:
    return any(character in "o." or 0x2801 <= ord(character) <= 0x28FF for character in row)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("unicode", [True, False])
def test_a_plot_has_the_size_asked_for(width: int, height: int, unicode: bool) -> None:
    lines = draw_curve({"train loss": curve(0), "val loss": curve(1)}, width, height, unicode)
    lengths = [len(line) for line in lines.splitlines()]

    assert len(lengths) == max(height, 7)
    assert max(lengths) == max(width, 24)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("unicode", [True, False])
def test_the_highest_value_is_in_the_top_row_and_the_lowest_in_the_bottom_row(
    seed: int, unicode: bool
) -> None:
    plot = rows(draw_curve({"loss": curve(seed)}, 60, 16, unicode))

    assert len(plot) == 13
    assert marked(plot[0])
    assert marked(plot[-1])


def test_a_lone_spike_is_not_averaged_away() -> None:
    points = [(step, 1.0) for step in range(10_000)]
    points[5000] = (5000, 100.0)
    top = rows(draw_curve({"loss": points}, 64, 16))[0]

    assert marked(top)
    assert len(top.lstrip("⠀ ")) < 40


def test_a_falling_line_falls_from_left_to_right() -> None:
    plot = rows(draw_curve({"loss": [(step, -step) for step in range(100)]}, 60, 16, unicode=False))
    first_marks = [row.index(".") for row in plot]

    assert first_marks == sorted(first_marks)


def test_the_second_series_is_drawn_in_marks_over_the_first() -> None:
    plot = draw_curve({"train loss": curve(0), "val loss": [(0, 3.0), (299, 2.0)]}, 60, 16)
    inside = "".join(rows(plot))

    assert inside.count("o") == 2


def test_legend_and_axes_say_what_is_drawn() -> None:
    train = [(0.0, 4.0), (5000.0, 1.0)]
    plot = draw_curve({"train loss": train, "val loss": [(2500.0, 2.0)]}, 60, 16)
    lines = plot.splitlines()

    assert ". train loss   o val loss" in lines[0]
    assert lines[1].startswith("4.00 ┤")
    assert lines[-3].startswith("1.00 ┤")
    assert lines[-1].split() == ["0", "step", "5,000"]


def test_ascii_plots_are_ascii() -> None:
    assert draw_curve({"train": curve(0), "val": curve(1)}, unicode=False).isascii()


@pytest.mark.parametrize("points", [[], [(1, math.nan)], [(math.inf, 1.0), (1, -math.inf)]])
def test_nothing_finite_is_said_in_words(points: list[Point]) -> None:
    assert draw_curve({"loss": points}) == "nothing to draw yet"


@pytest.mark.parametrize(
    "points",
    [
        [(7, 3.5)],
        [(1, 0.0), (2, 0.0)],
        [(1, 1e300), (2, -1e300)],
        [(1, -1.7e308), (2, 1.7e308)],
        [(1, 1e-300), (2, 2e-300)],
        [(1, 1.0), (2, 1.0 + 1e-15)],
        [(2, 1.0), (1, 2.0), (1, math.nan)],
    ],
)
def test_odd_values_are_drawn_all_the_same(points: list[Point]) -> None:
    plot = draw_curve({"loss": points}, 60, 12)

    assert any(marked(row) for row in rows(plot))
    assert max(map(len, plot.splitlines())) <= 60


@pytest.mark.parametrize(
    ("encoding", "expected"), [("utf-8", True), ("ascii", False), ("cp1252", False)]
)
def test_the_encoding_decides_on_the_characters(encoding: str, expected: bool) -> None:
    assert prints_unicode(io.TextIOWrapper(io.BytesIO(), encoding=encoding)) is expected


def test_a_stream_without_encoding_gets_ascii() -> None:
    assert not prints_unicode(io.StringIO())
