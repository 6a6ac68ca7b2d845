"""What a report says of preference tuning."""

import pytest

from gptkit.recipes.report.verdict_of_pairs import judge_pairs


def curve(*losses):
    return [(10.0 * i, loss) for i, loss in enumerate(losses, start=1)]


@pytest.mark.parametrize(
    ("train", "val", "name"),
    [
        ((0.69,), (0.69,), "too early to tell"),
        ((0.69, 0.68, 0.67), (0.69, 0.68), "not learning"),
        ((0.69, 0.5, 0.3), (0.6, 0.45, 0.44), "good"),
        ((0.69, 0.3, 0.1), (0.6, 0.45, 0.6), "overfitting"),
        ((0.69, 0.5, 0.3), (), "good"),
    ],
)
def test_a_verdict_measures_against_the_model_it_began_with(train, val, name):
    verdict = judge_pairs(curve(*train), curve(*val), 0.75 if val else None)

    assert verdict.name == name
    assert ("75%" in verdict.because) == (name in ("good", "overfitting") and bool(val))
