"""Intervals: against tables and against the truth."""

import math

import numpy as np
import pytest

from gptkit.insight.intervals import (
    Clusters,
    Seeds,
    between_checkpoints,
    between_recipes,
    seeds_to_show,
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


def runs(random, count, mean, *, seed=0.0, own=0.0, change=0.0):
    """Seeds of a recipe on 60 stretches: deviations of seeds, of a seed on one stretch, of the recipe on one."""
    stretches = mean + random.normal(0, 1, 60) * change
    losses = stretches + random.normal(0, seed, (count, 1)) + random.normal(0, own, (count, 60))
    return Seeds(losses * SIZES, SIZES)


SIZES = np.tile([20.0, 30.0, 40.0], 20)
TEXT = np.random.default_rng(3).normal(0, 2, 60) * SIZES
"""What all runs share: some stretches are hard."""


@pytest.mark.parametrize(
    ("seeds", "deviations"),
    [
        ((3, 3), {"seed": 0.02, "own": 0.05}),
        ((3, 3), {"seed": 0.02, "own": 0.05, "change": 0.08}),
        ((3, 3), {"seed": 0.001, "own": 0.3}),
        ((3, 3), {"seed": 0.001, "own": 0.05, "change": 0.1}),
        ((3, 6), {"seed": 0.02, "own": 0.3}),
        ((6, 6), {"seed": 0.02, "own": 0.05, "change": 0.08}),
    ],
)
def test_recipe_intervals_cover_the_truth_as_often_as_they_say(seeds, deviations):
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(2000):
        ours, theirs = (
            runs(random, n, mean, **deviations) for n, mean in zip(seeds, (2.0, 1.9), strict=True)
        )
        interval = between_recipes(Seeds(ours.sums + TEXT, SIZES), Seeds(theirs.sums + TEXT, SIZES))
        covered += abs(interval.difference - 0.1) <= interval.margin

    assert 0.93 <= covered / 2000 <= 0.98


def test_a_clear_difference_between_recipes_is_found():
    ours, theirs = (
        Seeds(np.outer(losses, np.ones(100)), np.ones(100))
        for losses in ([2.01, 2.00, 1.99], [1.91, 1.90, 1.89])
    )

    interval = between_recipes(ours, theirs)

    # Two-sample t by hand: 0.01 * sqrt(2 / 3) * t(0.975, 4)
    assert interval.difference == pytest.approx(0.1)
    assert interval.margin == pytest.approx(0.01 * math.sqrt(2 / 3) * 2.776, rel=1e-3)
    assert interval.is_clear


def test_what_seeds_do_on_single_stretches_counts_once():
    # All spread is luck on stretches: over the text it is seen a second time, and must not be added.
    random = np.random.default_rng(5)
    ours, theirs = runs(random, 400, 2.0, own=1.0), runs(random, 400, 2.0, own=1.0)
    text = Clusters(ours.mean_sums - theirs.mean_sums, SIZES)

    assert ours.luck == pytest.approx(ours.variance, rel=0.2)
    assert text.variance == pytest.approx(ours.luck + theirs.luck, rel=0.4)


def test_so_many_seeds_show_a_difference_in_four_of_five_tries():
    random = np.random.default_rng(6)
    ours, theirs = (runs(random, 40, mean, seed=0.02, own=0.05) for mean in (2.0, 1.98))
    needed = seeds_to_show(0.02, ours, theirs)
    shown = [
        between_recipes(
            *(runs(random, needed, mean, seed=0.02, own=0.05) for mean in (2.0, 1.98))
        ).is_clear
        for _ in range(400)
    ]

    # Normal: 2 * ((1.96 + 0.84) * 0.021 / 0.02)^2 = 17
    assert 12 <= needed <= 26
    assert 0.7 < np.mean(shown) < 0.9
    assert seeds_to_show(1e-6, ours, theirs) is None


def test_recipes_on_one_stretch_of_text_are_not_told_apart():
    ours, theirs = (Seeds(np.array([[a], [a + 0.1]]), np.ones(1)) for a in (1.0, 9.0))

    assert math.isinf(between_recipes(ours, theirs).margin)
