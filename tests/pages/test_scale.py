"""Places on a plot."""

import numpy as np
import pytest

from gptkit.pages.chart import smoothed
from gptkit.pages.scale import log_ticks, span, thin, ticks


def test_thinning_keeps_ends_peaks_and_order():
    x = np.arange(100_000.0)
    y = np.sin(x / 5000)
    y[31_415], y[77_777] = 9.0, -9.0

    few_x, few_y = thin(x, y)

    assert len(few_x) <= 3002
    assert few_x[0] == 0 and few_x[-1] == 99_999
    assert (np.diff(few_x) > 0).all()
    assert (few_y.max(), few_y.min()) == (9.0, -9.0)
    assert np.array_equal(few_y, y[few_x.astype(int)])


def test_a_short_curve_is_kept_whole():
    x = np.arange(3000.0)

    assert len(thin(x, x)[0]) == 3000


@pytest.mark.parametrize("values", [[], [2.0], [0.0, 0.0], [np.nan], [1e300, 1e300]])
def test_a_range_is_never_empty(values):
    low, high = span([np.array(values)])

    assert low < high


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 600, ["0", "100", "200", "300", "400", "500", "600"]),
        (1.31, 1.52, ["1.35", "1.40", "1.45", "1.50"]),
        (0, 25e6, ["0M", "5M", "10M", "15M", "20M", "25M"]),
        (1e-5, 1e-4, ["0.00002", "0.00004", "0.00006", "0.00008", "0.00010"]),
        (-0.5, 0.5, ["-0.4", "-0.2", "0.0", "0.2", "0.4"]),
    ],
)
def test_ticks_are_round_and_tell_values_apart(low, high, labels):
    assert [label for _, label in ticks(low, high)] == labels


def test_there_is_no_tick_between_two_layers():
    assert [label for _, label in ticks(1, 3, whole=True)] == ["1", "2", "3"]
    assert [label for _, label in ticks(0, 600, whole=True)] == [
        label for _, label in ticks(0, 600)
    ]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0001, 0.01, ["0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01"]),
        (3, 70, ["5", "10", "20", "50"]),
        (1, 10_000, ["1", "10", "100", "1000", "10000"]),
    ],
)
def test_ticks_of_factors_stand_where_their_values_are(low, high, labels):
    found = log_ticks(np.log10(low), np.log10(high))

    assert [label for _, label in found] == labels
    assert [10**place for place, _ in found] == pytest.approx([float(label) for label in labels])


def test_a_smooth_curve_does_not_lag():
    x = np.arange(1000.0)

    _, line = smoothed(x, 3 * x)

    assert line == pytest.approx(3 * x)
