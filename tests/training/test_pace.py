import pytest

from gptkit.training.pace import Pace


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def test_speed_is_measured_between_two_lines(clock):
    pace = Pace(now=clock)
    pace.add(1000)
    clock.seconds = 2.0
    pace.take(waited_seconds=0.0)
    pace.add(500)
    clock.seconds = 4.0

    assert pace.take(waited_seconds=0.0)["tokens_per_second"] == 250


def test_evaluating_and_saving_count_as_time_but_not_as_training(clock):
    pace = Pace(elapsed_before=100.0, now=clock)
    pace.add(1000)
    clock.seconds = 2.0
    with pace.paused():
        clock.seconds = 10.0

    metrics = pace.take(waited_seconds=0.5)

    assert metrics["tokens_per_second"] == 500
    assert metrics["elapsed_seconds"] == 110
    assert metrics["data_wait"] == 0.25


def test_mfu_is_the_share_of_the_peak_that_was_used(clock):
    pace = Pace(flops_per_token=3.0, peak_flops=1000.0, now=clock)
    pace.add(100)
    clock.seconds = 1.0

    assert pace.take(waited_seconds=0.0)["mfu"] == pytest.approx(0.3)


def test_without_steps_there_is_no_speed(clock):
    assert Pace(now=clock).take(waited_seconds=0.0) == {"elapsed_seconds": 0.0}
