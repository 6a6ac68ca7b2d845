"""What the terminal shows of a run."""

from __future__ import annotations

import io

import pytest

from gptkit.loggers.console import Console, duration


class Terminal(io.StringIO):
    """A stream that someone watches."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


METRICS = {"train_loss": 3.25, "learning_rate": 0.001, "tokens_per_second": 12345.6}


def test_a_file_gets_a_line_every_log_every_steps() -> None:
    stream = io.StringIO()
    clock = iter([0.0, 20.0, 40.0])
    console = Console(stream, max_steps=100, log_every=10, now=lambda: next(clock))
    for step in range(1, 21):
        console.log(METRICS, step)
    console.close()

    assert stream.getvalue().splitlines() == [
        "step 10/100  loss 3.2500  lr 1.00e-03  12,346 tokens/s  3m00s left",
        "step 20/100  loss 3.2500  lr 1.00e-03  12,346 tokens/s  2m40s left",
    ]


def test_evaluations_and_the_last_step_get_a_line_out_of_turn() -> None:
    stream = io.StringIO()
    console = Console(stream, max_steps=7, log_every=10, now=lambda: 0.0)
    console.log(METRICS, 2)
    console.log({"val_loss": 2.5, "val_bits_per_byte": 1.25}, 3)
    console.log({"train_loss": 2.0}, 7)

    assert stream.getvalue().splitlines() == [
        "step 3/7  val loss 2.5000  1.2500 bits/byte  0s left",
        "step 7/7  loss 2.0000",
    ]


def test_a_run_without_step_limit_names_no_total() -> None:
    stream = io.StringIO()
    Console(stream, max_steps=None, log_every=1).log({"train_loss": 2.0}, 3)

    assert stream.getvalue() == "step 3  loss 2.0000\n"


def test_a_run_under_a_time_budget_shows_its_time_and_no_total() -> None:
    stream = io.StringIO()
    clock = iter([0.0, 20.0, 80.0, 90.0])
    console = Console(stream, max_steps=100, seconds=90.0, now=lambda: next(clock))
    for step in (10, 95, 96):
        console.log({"val_loss": 2.5}, step)

    assert stream.getvalue().splitlines() == [
        "step 10  val loss 2.5000  1m10s left",
        "step 95  val loss 2.5000  4s left",  # the steps end before the time does
        "step 96  val loss 2.5000  0s left",
    ]


def test_the_bar_of_a_time_budget_tells_the_time_left() -> None:
    stream = Terminal()
    clock = iter([0.0, 60.0])
    console = Console(stream, max_steps=1000, seconds=90.0, log_every=1, now=lambda: next(clock))
    console.log(METRICS, 2)
    console.close()

    assert "2/1000" not in stream.getvalue()
    assert "tokens/s, 30s left" in stream.getvalue()


def test_a_resumed_run_reckons_with_the_steps_of_this_start() -> None:
    stream = io.StringIO()
    clock = iter([0.0, 10.0])
    console = Console(stream, max_steps=110, first_step=100, log_every=5, now=lambda: next(clock))
    console.log({"train_loss": 2.0}, 105)

    assert stream.getvalue().endswith("10s left\n")


def test_a_terminal_gets_a_bar_with_the_evaluations_above_it() -> None:
    stream = Terminal()
    console = Console(stream, max_steps=4, log_every=1)
    console.log(METRICS, 2)
    console.log({**METRICS, "val_loss": 2.5}, 4)
    console.say("a sample")
    console.close()

    shown = stream.getvalue()
    assert "4/4" in shown
    assert "loss 3.2500, " in shown
    assert "step 4/4  loss 3.2500  val loss 2.5000" in shown
    assert "a sample\n" in shown


def test_a_terminal_that_went_away_ends_no_run() -> None:
    console = Console(Gone(), max_steps=4, log_every=1)
    console.log(METRICS, 1)
    console.say("hello")
    console.close()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m")],
)
def test_durations_are_told_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words
