import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import pytest

from gptkit.runtime.interrupt import SIGNALS
from gptkit.runtime.launch import Place, is_launched, run_ranks
from tests.waiting import wait_for

posix_only = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no signals that one process can send to another"
)

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def python(code):
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_each_rank_is_told_its_place(tmp_path):
    code = python(f"""
        import json, os, pathlib
        place = {{name: os.environ[name] for name in {VARIABLES}}}
        path = pathlib.Path({str(tmp_path)!r}) / os.environ["RANK"]
        path.write_text(json.dumps(place), encoding="utf-8")
    """)

    assert run_ranks(2, code) == 0

    first, second = [(tmp_path / rank).read_text(encoding="utf-8") for rank in "01"]
    assert first.replace('RANK": "0"', 'RANK": "1"') == second
    assert '"WORLD_SIZE": "2"' in first and "127.0.0.1" in first


@pytest.mark.parametrize("code", [1, 3, 4])
def test_when_one_rank_fails_the_others_are_ended(code):
    started = time.monotonic()

    found = run_ranks(
        2,
        python(f"""
            import os, sys, time
            if os.environ["RANK"] == "1":
                sys.exit({code})
            time.sleep(600)
        """),
    )

    assert found == code
    assert time.monotonic() - started < 60


def test_a_rank_that_is_stopped_by_a_signal_leaves_the_others_time_to_save(tmp_path):
    saved = tmp_path / "saved"

    found = run_ranks(
        2,
        python(f"""
            import os, pathlib, sys, time
            if os.environ["RANK"] == "0":
                time.sleep(0.5)
                pathlib.Path({str(saved)!r}).touch()
            sys.exit(143)
        """),
    )

    assert found == 143
    assert saved.exists()


def test_the_code_of_the_rank_that_says_why_is_that_of_the_run():
    found = run_ranks(
        3,
        python("""
            import os, sys, time
            rank = int(os.environ["RANK"])
            time.sleep(0.3 * (rank == 1))
            sys.exit([1, 4, 143][rank])
        """),
    )

    assert found == 4


def test_a_process_that_nobody_launched_is_the_only_one(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    assert Place.from_environment() == Place(rank=0, local_rank=0, world_size=1)
    assert not is_launched()


def test_the_variables_of_torchrun_are_understood(monkeypatch):
    for name, value in {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)

    assert Place.from_environment() == Place(rank=5, local_rank=1, world_size=8)
    assert is_launched()


CHILD = """
import pathlib, signal, sys, time, os
from gptkit.runtime.interrupt import SIGNALS
from gptkit.runtime.lifeline import end_with_parent
end_with_parent()
place = pathlib.Path(sys.argv[1], os.environ["RANK"])
def note(number, frame):
    time.sleep(0.2)
    place.with_suffix(".saved").touch()
    sys.exit(128 + number)
for number in SIGNALS:
    signal.signal(number, note)
place.touch()
time.sleep(600)
"""
LAUNCHER = """
import sys
from gptkit.runtime.launch import run_ranks
sys.exit(run_ranks(2, [sys.executable, "-c", *sys.argv[1:]]))
"""


@contextmanager
def launched(code, *args):
    """Start a process that launches two ranks of a program."""
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, textwrap.dedent(code), *args]
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def launcher(tmp_path):
    """A process that has launched two ranks, which tell `tmp_path` when they run and when they have saved."""
    with launched(CHILD, str(tmp_path)) as process:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        yield process


@posix_only
@pytest.mark.parametrize("number", SIGNALS)
def test_signals_are_passed_on_to_the_ranks(tmp_path, launcher, number):
    launcher.send_signal(number)

    assert launcher.wait(timeout=60) == 128 + number
    assert len(list(tmp_path.glob("*.saved"))) == 2


@posix_only
def test_when_the_launcher_is_killed_the_ranks_save_and_end(tmp_path, launcher):
    launcher.kill()

    wait_for(lambda: len(list(tmp_path.glob("*.saved"))) == 2)


@posix_only
def test_a_rank_that_is_killed_ends_the_one_that_waits_for_it():
    started = time.monotonic()

    found = run_ranks(
        2,
        python("""
            import os, signal
            from gptkit.runtime import Runtime, RuntimeConfig
            with Runtime.start(RuntimeConfig(device="cpu")) as runtime:
                if not runtime.is_main:
                    os.kill(os.getpid(), signal.SIGKILL)
                runtime.any_rank(False)
        """),
    )

    assert found == 128 + signal.SIGKILL
    assert time.monotonic() - started < 60


@posix_only
def test_a_rank_that_waits_for_another_hears_signals(tmp_path):
    waiting = tmp_path / "waiting"
    code = f"""
        import os, pathlib, time
        from gptkit.runtime import Runtime, RuntimeConfig
        from gptkit.runtime.interrupt import end_on_signals
        end_on_signals()
        with Runtime.start(RuntimeConfig(device="cpu")) as runtime:
            if runtime.is_main:
                time.sleep(600)
            pathlib.Path({str(waiting)!r}).write_text(str(os.getpid()), encoding="utf-8")
            runtime.barrier()
    """
    with launched(code) as launcher:
        wait_for(lambda: waiting.exists() and waiting.read_text(encoding="utf-8"))
        started = time.monotonic()
        os.kill(int(waiting.read_text(encoding="utf-8")), signal.SIGTERM)

        assert launcher.wait(timeout=60) == 143
    assert time.monotonic() - started < 5
