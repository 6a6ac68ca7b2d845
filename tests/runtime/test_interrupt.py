import signal
import subprocess
import sys
import textwrap

import pytest

from gptkit.runtime.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_in_place_of_ending_the_process(number):
    with Interrupt() as interrupt:
        before = bool(interrupt)
        signal.raise_signal(number)

    assert not before
    assert interrupt and interrupt.signal_number == number


def test_afterwards_signals_do_what_they_did_before():
    before = signal.getsignal(signal.SIGINT)

    with Interrupt():
        pass

    assert signal.getsignal(signal.SIGINT) is before


def test_the_first_signal_is_the_one_that_counts():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    assert interrupt.signal_number == signal.SIGINT


def test_a_second_ctrl_c_ends_the_process_at_once():
    code = """
        import signal
        from gptkit.runtime.interrupt import Interrupt
        with Interrupt():
            signal.raise_signal(signal.SIGINT)
            print("once", flush=True)
            signal.raise_signal(signal.SIGINT)
            print("twice", flush=True)
    """

    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 130
    assert ended.stdout.split() == ["once"]
