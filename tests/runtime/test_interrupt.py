import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from gptkit.errors import Interrupted
from gptkit.runtime import interrupt as interrupt_module
from gptkit.runtime.interrupt import SIGNALS, Interrupt, ctrl_c_raises

posix_only = pytest.mark.skipif(
    os.name == "nt", reason="Windows kills a process that is sent a signal"
)
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGUSR1": 128 + getattr(signal, "SIGUSR1", 10)}


def run(code):
    """Run a Python program and return what became of it."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def notebook(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_in_place_of_ending_the_process(number):
    with Interrupt() as interrupt:
        before = bool(interrupt)
        signal.raise_signal(number)

    assert not before
    assert interrupt and interrupt.signal_number == number


def test_afterwards_signals_do_what_they_did_before():
    before = [signal.getsignal(number) for number in SIGNALS]

    with Interrupt():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_the_first_signal_is_the_one_that_counts():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    assert interrupt.signal_number == signal.SIGINT


def test_who_asks_gets_the_signal_as_an_error_with_its_exit_code():
    with Interrupt() as interrupt:
        interrupt.check()
        signal.raise_signal(signal.SIGTERM)

        with pytest.raises(Interrupted, match="stopped by SIGTERM") as caught:
            interrupt.check()

    assert caught.value.exit_code == 143


def test_a_second_ctrl_c_ends_the_process_at_once():
    ended = run("""
        import signal
        from gptkit.runtime.interrupt import Interrupt
        with Interrupt():
            signal.raise_signal(signal.SIGINT)
            print("once", flush=True)
            signal.raise_signal(signal.SIGINT)
            print("twice", flush=True)
    """)

    assert (ended.returncode, ended.stdout.split()) == (130, ["once"])
    assert ended.stderr == "stopped by SIGINT\n"


def test_a_second_ctrl_c_leaves_a_notebook_alive(notebook):
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        first = interrupt.signal_number
        signal.raise_signal(signal.SIGINT)

    assert first == signal.SIGINT


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_can_be_saved_a_signal_ends_the_process_whatever_catches_errors(number):
    ended = run(f"""
        import signal
        from gptkit.runtime.interrupt import Interrupt
        with Interrupt() as interrupt:
            try:
                with interrupt.at_once():
                    signal.raise_signal({number})
            except BaseException:
                pass
            finally:
                print("still there")
    """)

    assert ended.returncode == EXIT_CODES[number.name]
    assert (ended.stdout, ended.stderr) == ("", f"stopped by {number.name}\n")


def test_behind_work_that_ends_at_once_signals_are_noted_again():
    with Interrupt() as interrupt:
        with interrupt.at_once():
            pass
        signal.raise_signal(signal.SIGTERM)

    assert interrupt.signal_number == signal.SIGTERM


@pytest.mark.parametrize("block", ["at_once", "soon"])
def test_work_does_not_begin_once_a_signal_came(block):
    began = False
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)

        with pytest.raises(Interrupted), getattr(interrupt, block)():
            began = True

    assert not began


def test_in_a_notebook_a_signal_ends_the_work_and_not_the_session(notebook):
    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.at_once():
        signal.raise_signal(signal.SIGTERM)


def test_the_ranks_beside_the_first_end_without_a_word(monkeypatch):
    monkeypatch.setenv("RANK", "1")

    ended = run("""
        import signal
        from gptkit.runtime.interrupt import end_on_signals
        end_on_signals()
        signal.raise_signal(signal.SIGTERM)
    """)

    assert (ended.returncode, ended.stderr) == (143, "")


def test_work_that_asks_for_signals_ends_by_itself():
    tidied = False
    with Interrupt() as interrupt, pytest.raises(Interrupted), interrupt.soon():
        signal.raise_signal(signal.SIGTERM)
        try:
            interrupt.check()
        finally:
            tidied = True

    assert tidied


def test_work_that_ends_before_it_asks_is_stopped_all_the_same():
    with Interrupt() as interrupt, pytest.raises(Interrupted), interrupt.soon():
        signal.raise_signal(signal.SIGTERM)


def test_work_that_fails_after_a_signal_was_ended_by_the_signal():
    with Interrupt() as interrupt, pytest.raises(Interrupted), interrupt.soon():
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("the other rank is gone")


def test_work_that_fails_without_a_signal_says_why():
    with Interrupt() as interrupt, pytest.raises(ZeroDivisionError), interrupt.soon():
        raise ZeroDivisionError


def test_work_that_never_asks_is_ended_a_little_later():
    ended = run("""
        import signal, time
        from gptkit.runtime import interrupt as module
        module._SOON_SECONDS = 0.3
        with module.Interrupt() as interrupt, interrupt.soon():
            signal.raise_signal(signal.SIGTERM)
            print("noted", flush=True)
            time.sleep(600)
    """)

    assert (ended.returncode, ended.stdout) == (143, "noted\n")
    assert ended.stderr == "stopped by SIGTERM\n"


def test_work_that_never_asks_leaves_a_notebook_alive(notebook, monkeypatch):
    monkeypatch.setattr(interrupt_module, "_SOON_SECONDS", 0.1)

    with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt), interrupt.soon():
        signal.raise_signal(signal.SIGTERM)
        for _ in range(1000):
            time.sleep(0.01)


def test_ctrl_c_can_be_what_python_makes_of_it():
    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt), ctrl_c_raises():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    assert interrupt.signal_number == signal.SIGINT


@posix_only
def test_when_all_is_done_a_signal_does_not_change_the_exit_code():
    ended = run("""
        import os, signal, sys
        from gptkit.runtime.interrupt import end_on_signals
        class Last:
            def __del__(self):
                kill(pid, signal_number)
        kill, pid, signal_number = os.kill, os.getpid(), signal.SIGTERM
        sys.last = Last()
        end_on_signals()
        sys.exit(3)
    """)

    assert (ended.returncode, ended.stderr) == (3, "")


@posix_only
@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_ends_on_signals_from_outside(number):
    program = """
        import time
        from gptkit.runtime.interrupt import end_on_signals
        end_on_signals()
        print("ready", flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, message = process.communicate(timeout=60)

    assert process.returncode == EXIT_CODES[number.name]
    assert message == f"stopped by {number.name}\n"
