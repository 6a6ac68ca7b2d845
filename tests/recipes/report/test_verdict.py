"""The rules, on curves written by hand."""

import math

import pytest

from gptkit.recipes.report.verdict import Evidence, judge

SIMPLE = {"uniform": math.log(65), "unigram": 3.3, "bigram": 2.5}


def curve(*values, every=10):
    return [((i + 1) * every, value) for i, value in enumerate(values)]


def verdict(train, val, baselines=SIMPLE):
    return judge(Evidence(curve(*train), curve(*val), 65, baselines))


def test_a_loss_near_a_unigrams_is_not_learning():
    found = verdict([4.1, 3.4, 3.3, 3.3], [3.31, 3.30, 3.29])

    assert found.name == "not learning"
    assert "3.290" in found.because and "3.300" in found.because


def test_random_text_known_by_heart_is_not_learning():
    # No structure: a bigram is no better than a unigram.
    found = verdict(
        [5.5, 3.0, 1.0, 0.3, 0.2],
        [5.6, 6.5, 8.0],
        {"uniform": 5.55, "unigram": 5.55, "bigram": 5.6},
    )

    assert found.name == "not learning"
    assert "random" in found.advice[0]


def test_text_known_by_heart_is_overfitting_even_if_validation_never_was_good():
    found = verdict([3.0, 1.0, 0.3, 0.1, 0.1], [4.5])

    assert found.name == "overfitting"
    assert "0.167" in found.because and "4.500" in found.because


def test_a_validation_loss_that_rises_while_training_goes_on_falling_is_overfitting():
    found = verdict([3.0, 2.0, 1.6, 1.3, 1.2, 1.1], [2.2, 1.8, 1.75, 1.85, 1.9])

    assert found.name == "overfitting"
    assert "since step 30" in found.because
    assert "1.750 to 1.900" in found.because


def test_a_validation_loss_that_wobbles_is_not_overfitting():
    assert verdict([3.0, 2.0, 1.8, 1.7, 1.7], [2.2, 1.8, 1.75, 1.76]).name == "good"


def test_a_loss_that_rises_everywhere_is_not_called_overfitting():
    # A learning rate that is too high: the training loss rises too.
    train, val = [3.0, 2.1, 2.0, 2.0, 2.1, 2.3, 2.4, 2.4], [2.2, 2.0, 1.95, 1.9, 2.3]

    assert verdict(train, val).name != "overfitting"


def test_a_wide_gap_is_overfitting_before_the_validation_loss_rises():
    assert verdict([3.0, 1.5, 0.9, 0.8, 0.8], [2.2, 1.7, 1.6]).name == "overfitting"


def test_between_unigram_and_bigram_is_learning():
    found = verdict([4.0, 3.0, 2.8, 2.7], [3.0, 2.7])

    assert found.name == "learning"
    assert "2.500" in found.because


def test_below_the_bigram_is_good_with_what_it_beats_and_what_it_does_not():
    found = verdict([4.0, 2.0, 1.7, 1.7], [2.0, 1.7], {**SIMPLE, "Kneser-Ney 5": 1.6})

    assert found.name == "good"
    assert "bigram (2.500) by 32%" in found.because
    assert "not Kneser-Ney 5 (1.600)" in found.because


def test_a_run_that_still_falls_is_told_so():
    falling = verdict([4.0, 2.4, 2.0, 1.9], [2.3, 2.1, 2.0, 1.9, 1.8])
    flat = verdict([4.0, 2.4, 1.8, 1.8], [2.3, 1.8, 1.8, 1.8, 1.8])

    assert any("more steps" in advice for advice in falling.advice)
    assert not any("more steps" in advice for advice in flat.advice)


def test_a_training_loss_above_guessing_is_called_diverged():
    found = verdict([4.0, 3.0, 9.0, 30.0, 40.0], [3.5, 30.0])

    assert found.name == "not learning"
    assert "diverged" in found.because


def test_without_a_validation_split_it_says_what_cannot_be_seen():
    found = verdict([4.0, 2.4, 1.9, 1.8, 1.8], [])

    assert found.name == "good"
    assert "held out" in found.advice[0]
    assert "overfit" not in found.because


@pytest.mark.parametrize(("train", "val"), [([], []), ([3.0], [2.9])])
def test_too_few_losses_tell_nothing(train, val):
    assert verdict(train, val).name == "too early to tell"


def test_every_verdict_is_one_sentence_with_a_number():
    found = verdict([4.0, 2.0, 1.7, 1.7], [2.0, 1.7])

    assert found.sentence.startswith("good: ")
    assert "\n" not in found.sentence
