"""Intervals: against tables and against the truth."""

import math

import numpy as np
import pytest

from gptkit.insight.intervals import (
    Clusters,
    between_checkpoints,
    between_recipes,
    student_quantile,
)


@pytest.mark.parametrize(
    ("probability", "freedom", "table"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.975, 30, 2.042), (0.95, 10, 1.812),
     (0.995, 5, 4.032), (0.975, 1e6, 1.960)],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(probability, freedom, table):
    assert student_quantile(probability, freedom) == pytest.approx(table, abs=6e-4)


def test_equal_clusters_give_the_textbook_standard_error():
    sums = np.array([1.0, 3.0, 2.0, 6.0])

    found = Clusters(sums, np.ones(4))

    assert found.mean == 3.0
    assert found.variance == pytest.approx(sums.var(ddof=1) / 4)


def test_a_difference_that_is_the_same_everywhere_is_certain():
    interval = between_checkpoints(Clusters(np.full(50, 0.2), np.full(50, 10.0)))

    assert interval.difference == pytest.approx(0.02)
    assert interval.margin == pytest.approx(0, abs=1e-12)
    assert interval.is_clear


def test_nothing_is_certain_on_one_stretch_of_text():
    interval = between_checkpoints(Clusters(np.array([5.0]), np.array([10.0])))

    assert math.isinf(interval.margin)
    assert not interval.is_clear


def test_checkpoint_intervals_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        # Stretches of different length, each with an own mean around the true 0.3.
        sizes = random.integers(5, 60, 40).astype(float)
        sums = sizes * random.normal(0.3, 1.0, 40)
        interval = between_checkpoints(Clusters(sums, sizes))
        covered += abs(interval.difference - 0.3) <= interval.margin

    assert 0.91 < covered / 400 < 0.99


@pytest.mark.parametrize("seeds", [(3, 3), (3, 6)])
def test_recipe_intervals_cover_the_truth_at_least_as_often_as_they_say(seeds):
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        ours, theirs = random.normal(2.0, 0.1, seeds[0]), random.normal(1.9, 0.1, seeds[1])
        text = random.normal(0, 0.05, 30) + ours.mean() - theirs.mean()
        interval = between_recipes(ours, theirs, Clusters(text, np.ones(30)))
        covered += abs(interval.difference - 0.1) <= interval.margin

    assert covered / 400 > 0.93


def test_a_clear_difference_between_recipes_is_found():
    ours, theirs = [2.01, 2.00, 1.99], [1.91, 1.90, 1.89]
    text = Clusters(np.full(100, 0.1), np.ones(100))

    interval = between_recipes(ours, theirs, text)

    # Two-sample t by hand: 0.01 * sqrt(2 / 3) * t(0.975, 4)
    assert interval.margin == pytest.approx(0.01 * math.sqrt(2 / 3) * 2.776, rel=1e-3)
    assert interval.is_clear
