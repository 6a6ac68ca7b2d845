import pytest

from gptkit.training.config import TrainingConfig
from gptkit.training.limits import Limits
from gptkit.training.progress import Progress


def limits_of(**settings):
    config = TrainingConfig(**{"batch_size": 4, **settings})
    return Limits.of(config, context_length=8, num_windows=10)


@pytest.mark.parametrize(
    "settings, step, why",
    [
        ({"max_steps": 7}, 7, "max_steps (7) reached"),
        ({"max_tokens": 65}, 3, "max_tokens (65) learned from"),
        ({"max_epochs": 1}, 3, "max_epochs (1) done"),
        ({"max_epochs": 0.4}, 1, "max_epochs (0.4) done"),
        ({"max_steps": 100, "max_epochs": 2}, 5, "max_epochs (2) done"),
        ({"max_steps": 2, "max_epochs": 2}, 2, "max_steps (2) reached"),
    ],
)
def test_the_first_limit_ends_the_run_and_says_why(settings, step, why):
    limits = limits_of(**settings)

    assert limits.max_steps == step
    assert limits.reached(Progress(step=step - 1)) is None
    assert limits.reached(Progress(step=step)) == why


def test_a_time_budget_ends_the_run():
    limits = limits_of(time_budget="2m")

    assert limits.reached(Progress(step=5, elapsed_seconds=119.0)) is None
    ended = limits.reached(Progress(step=5, elapsed_seconds=120.5))
    assert ended == "time_budget (120 s) used up"


def test_patience_ends_the_run():
    limits = limits_of(patience=3)

    ended = limits.reached(Progress(step=5, evaluations_without_gain=3))

    assert ended == "no better validation loss in 3 evaluations (patience)"


def test_without_a_time_budget_the_schedule_follows_the_steps():
    limits = limits_of(max_steps=100)

    assert limits.position(Progress(step=30)) == (30, 100)


def test_under_a_time_budget_the_schedule_follows_the_clock():
    limits = limits_of(time_budget=60)

    step, max_steps = limits.position(Progress(step=30, elapsed_seconds=15.0))

    assert (step, max_steps) == (30, 120)


def test_steps_and_time_together_follow_what_comes_first():
    limits = limits_of(time_budget=60, max_steps=90)

    slow = limits.position(Progress(step=30, elapsed_seconds=30.0))
    fast = limits.position(Progress(step=30, elapsed_seconds=15.0))

    assert (slow, fast) == ((30, 60), (30, 90))


def test_before_the_first_step_is_timed_its_rate_is_small():
    step, max_steps = limits_of(time_budget=60).position(Progress(elapsed_seconds=0.0))

    assert step == 0 and max_steps >= 100


def test_the_best_loss_starts_the_patience_again():
    progress = Progress(step=10)

    gains = [progress.note_evaluation(loss) for loss in (2.0, 2.5, 2.0, 1.9)]

    assert gains == [True, False, False, True]
    assert (progress.best_val_loss, progress.evaluations_without_gain) == (1.9, 0)


def test_progress_survives_json():
    progress = Progress(step=3, tokens=96, best_val_loss=1.5, best_step=2, last={"a": 1.0})

    assert Progress.from_json(progress.to_json()) == progress
