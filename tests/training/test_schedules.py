import math

import pytest

from gptkit.training.schedules import SCHEDULES

NANOGPT = {"name": "cosine", "warmup_steps": 100, "min_factor": 0.1}
WSD = {"name": "wsd", "warmup": 0.1, "decay": 0.4, "min_factor": 0.05}
LINEAR = {"name": "linear", "warmup_steps": 0, "min_factor": 0.2}
CONSTANT = {"name": "constant", "warmup_steps": 3}
RESTARTS = {"name": "cosine_restarts", "warmup_steps": 0, "cycles": 2, "min_factor": 0.0}
GROWING = {**RESTARTS, "cycle_growth": 3.0}
ONE_CYCLE = {"name": "one_cycle", "warmup": 0.5, "start_factor": 0.04, "min_factor": 0.0}

# settings, step, max_steps, factor
TABLE = [
    (NANOGPT, 0, 2000, 1 / 101),
    (NANOGPT, 99, 2000, 100 / 101),
    (NANOGPT, 100, 2000, 1.0),
    (NANOGPT, 1050, 2000, 0.55),
    (NANOGPT, 2000, 2000, 0.1),
    (WSD, 0, 100, 1 / 11),
    (WSD, 9, 100, 10 / 11),
    (WSD, 10, 100, 1.0),
    (WSD, 59, 100, 1.0),
    (WSD, 60, 100, 1.0),
    (WSD, 80, 100, 0.525),
    (WSD, 100, 100, 0.05),
    (LINEAR, 0, 10, 1.0),
    (LINEAR, 5, 10, 0.6),
    (LINEAR, 10, 10, 0.2),
    (CONSTANT, 0, 10, 0.25),
    (CONSTANT, 2, 10, 0.75),
    (CONSTANT, 3, 10, 1.0),
    (CONSTANT, 9, 10, 1.0),
    (RESTARTS, 0, 8, 1.0),
    (RESTARTS, 2, 8, 0.5),
    (RESTARTS, 4, 8, 1.0),
    (RESTARTS, 6, 8, 0.5),
    (RESTARTS, 8, 8, 0.0),
    (GROWING, 1, 8, 0.5),
    (GROWING, 2, 8, 1.0),
    (GROWING, 5, 8, 0.5),
    (ONE_CYCLE, 0, 21, 0.04),
    (ONE_CYCLE, 5.25, 21, 0.52),
    (ONE_CYCLE, 20, 21, 0.0),
]


@pytest.mark.parametrize("settings, step, max_steps, factor", TABLE, ids=str)
def test_the_factor_is_the_one_computed_by_hand(settings, step, max_steps, factor):
    schedule = SCHEDULES.validate(settings)

    assert schedule.factor(step, max_steps) == pytest.approx(factor, abs=1e-12)


def test_nanogpts_cosine_is_met_at_every_step():
    schedule = SCHEDULES.validate(NANOGPT)

    def nanogpt(step):
        if step < 100:
            return 1e-3 * (step + 1) / 101
        ratio = (step - 100) / (2000 - 100)
        return 1e-4 + 0.5 * (1 + math.cos(math.pi * ratio)) * (1e-3 - 1e-4)

    rates = [1e-3 * schedule.factor(step, 2000) for step in range(2000)]
    assert rates == pytest.approx([nanogpt(step) for step in range(2000)], rel=1e-12)


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("max_steps", [1, 2, 3, 50, 1000])
def test_a_factor_is_always_in_reach(name, max_steps):
    schedule = SCHEDULES.validate({"name": name})

    factors = [schedule.factor(step, max_steps) for step in range(max_steps + 1)]

    assert all(0.0 <= factor <= 1.0 for factor in factors)
    assert factors[0] > 0.0


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_schedule_warms_up(name):
    schedule = SCHEDULES.validate({"name": name, "warmup_steps": 10})

    rising = [schedule.factor(step, 100) for step in range(11)]

    assert rising == sorted(rising) and rising[0] < 0.2 and rising[10] == 1.0


def test_stretched_steps_follow_the_same_curve():
    schedule = SCHEDULES.validate({"name": "wsd"})

    halves = [schedule.factor(0.5 * step, 500) for step in range(100, 1000)]

    expected = [schedule.factor(step, 1000) for step in range(100, 1000)]
    assert halves == pytest.approx(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "wsd", "warmup": 0.6, "decay": 0.6},
        {"name": "cosine", "warmup": 0.1, "warmup_steps": 10},
        {"name": "cosine", "decay": 0.5},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(ValueError):
        SCHEDULES.validate(wrong)
