"""One job at a time beside training, in order, and no failure is lost."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from gptkit.checkpoint import BackgroundWriter, SaveError


class Snapshot:
    """Stands for gigabytes."""


def test_jobs_run_in_the_order_in_which_they_were_submitted() -> None:
    writer, done = BackgroundWriter(), list[int]()
    for i in range(50):
        writer.submit(lambda i=i: done.append(i))
    writer.wait()

    assert done == list(range(50))


def test_jobs_run_beside_the_caller() -> None:
    writer, go, ran = BackgroundWriter(), threading.Event(), threading.Event()

    def job() -> None:
        assert go.wait(10)
        ran.set()

    writer.submit(job)
    assert not ran.is_set()
    go.set()
    writer.wait()

    assert ran.is_set()


def test_no_thread_stays_between_jobs() -> None:
    before = set(threading.enumerate())
    writer = BackgroundWriter()

    writer.submit(lambda: None)
    writer.wait()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)

    assert set(threading.enumerate()) <= before


def test_at_most_one_job_is_in_flight() -> None:
    writer, running, most = BackgroundWriter(), list[int](), list[int]()

    def job() -> None:
        running.append(1)
        time.sleep(0.01)
        most.append(len(running))
        running.pop()

    for _ in range(5):
        writer.submit(job)
    writer.close()

    assert most == [1] * 5


def test_submitting_waits_for_the_job_before() -> None:
    writer, done = BackgroundWriter(), threading.Event()

    def slow() -> None:
        time.sleep(0.05)
        done.set()

    writer.submit(slow)
    writer.submit(lambda: None)

    assert done.is_set()
    writer.close()


def fail() -> None:
    raise SaveError("disk full")


def test_a_failure_is_raised_by_the_next_submit_which_runs_nothing() -> None:
    writer, ran = BackgroundWriter(), list[int]()
    writer.submit(fail)

    with pytest.raises(SaveError, match="disk full"):
        writer.submit(lambda: ran.append(1))
    writer.wait()

    assert ran == []


def test_a_failure_is_raised_by_wait_once() -> None:
    writer = BackgroundWriter()
    writer.submit(fail)

    with pytest.raises(SaveError, match="disk full"):
        writer.wait()
    writer.wait()


def test_after_a_failure_jobs_run_again() -> None:
    writer, ran = BackgroundWriter(), list[int]()
    writer.submit(fail)
    with pytest.raises(SaveError):
        writer.wait()
    writer.submit(lambda: ran.append(1))
    writer.wait()

    assert ran == [1]


def test_closing_waits_and_raises_nothing() -> None:
    writer, done = BackgroundWriter(), list[int]()

    def slow_and_bad() -> None:
        time.sleep(0.05)
        done.append(1)
        fail()

    writer.submit(slow_and_bad)
    writer.close()
    writer.close()

    assert done == [1]


def test_a_job_that_is_done_holds_no_memory() -> None:
    writer, snapshot = BackgroundWriter(), Snapshot()
    gone = weakref.ref(snapshot)
    writer.submit(lambda snapshot=snapshot: None)
    del snapshot
    writer.wait()
    gc.collect()

    assert gone() is None


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process on Windows")
def test_an_interrupt_while_waiting_is_raised_and_the_job_goes_on() -> None:
    writer, done = BackgroundWriter(), threading.Event()

    def slow() -> None:
        time.sleep(0.4)
        done.set()

    writer.submit(slow)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            writer.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not done.is_set()

    writer.close()
    assert done.is_set()


DYING = """
import time
from gptkit.checkpoint import writer
writer._SECONDS_AT_EXIT = {patience}
writer.BackgroundWriter().submit(lambda: (time.sleep({seconds}), print("done", flush=True)))
{ending}
"""


@pytest.mark.parametrize(("ending", "code"), [("1 / 0", 1), ("", 0)])
@pytest.mark.parametrize(
    ("seconds", "patience", "out"), [(60, 0.1, b""), (0.2, 10, b"done"), (0, 10, b"done")]
)
def test_an_interpreter_that_ends_gives_a_job_some_time_and_no_more(
    seconds: float, patience: float, out: bytes, ending: str, code: int
) -> None:
    program = DYING.format(seconds=seconds, patience=patience, ending=ending)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)

    assert (ended.returncode, ended.stdout.strip()) == (code, out)


DYING_WHILE_SAVING = """
import sys
from pathlib import Path
import torch
from gptkit.checkpoint import BackgroundWriter
from gptkit.checkpoint.store import Contents, save
from gptkit.tokenizers.char import CharTokenizer
weights = {str(i): torch.rand(1000, 1000) for i in range(5)}
contents = Contents(config="", tokenizer=CharTokenizer("ab"), weights=weights)
BackgroundWriter().submit(lambda: save(Path(sys.argv[1]), 1, contents))
1 / 0
"""


def test_an_interpreter_that_ends_inside_a_save_is_not_aborted(tmp_path: Path) -> None:
    program = [sys.executable, "-c", DYING_WHILE_SAVING, str(tmp_path)]

    ended = subprocess.run(program, capture_output=True, timeout=60)

    assert ended.returncode == 1, ended.stderr.decode()
    assert list(tmp_path.glob("checkpoints/.*")) == []
