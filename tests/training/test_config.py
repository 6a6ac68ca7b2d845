import pytest

from gptkit.errors import ConfigError
from gptkit.training.config import TrainingConfig


def test_accumulation_is_derived_from_batch_micro_batch_and_ranks():
    config = TrainingConfig(batch_size=48, micro_batch_size=4)

    assert [config.accumulation(ranks) for ranks in (1, 2, 3)] == [12, 6, 4]


def test_a_batch_that_does_not_divide_over_the_devices_is_refused():
    config = TrainingConfig(batch_size=64, micro_batch_size=32)

    with pytest.raises(
        ConfigError,
        match=r"batch_size \(64\) must be a multiple of micro_batch_size x devices \(32 x 3 = 96\)",
    ):
        config.accumulation(3)


def test_a_batch_smaller_than_the_number_of_devices_is_refused():
    with pytest.raises(ConfigError, match=r"batch_size \(2\) must be a multiple"):
        TrainingConfig(batch_size=2).accumulation(4)


def test_the_micro_batch_that_was_left_open_is_filled_in():
    assert TrainingConfig(batch_size=64).resolved(2).micro_batch_size == 32


@pytest.mark.parametrize(
    "written, seconds",
    [
        (90, 90),
        ("90s", 90),
        ("10m", 600),
        ("1.5h", 5400),
        ("1d", 86400),
        ("2 m", 120),
        ("1h30m", 5400),
        (" 1d 2h 3m 4s ", 93784),
        ("1h0.5s", 3600.5),
    ],
)
def test_a_duration_is_seconds_or_has_a_unit(written, seconds):
    assert TrainingConfig(time_budget=written).time_budget == seconds


@pytest.mark.parametrize(
    "written", ["soon", "10", True, 0, -5, "5w", "", " ", "0m", "30m1h", "5m5m", "-5m", "1e3s"]
)
def test_another_duration_is_refused(written):
    with pytest.raises(ValueError):
        TrainingConfig(time_budget=written)


def test_another_limit_takes_the_place_of_the_default_steps():
    assert TrainingConfig(time_budget="1m").max_steps is None


def test_a_run_without_end_is_refused():
    with pytest.raises(ValueError, match="the run needs an end"):
        TrainingConfig(max_steps=None)


def test_a_batch_that_does_not_divide_into_micro_batches_is_refused():
    with pytest.raises(ValueError, match=r"batch_size \(64\) must be a multiple"):
        TrainingConfig(micro_batch_size=48)
