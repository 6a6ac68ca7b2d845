import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from gptkit.runtime.lifeline import LIFELINE, end_with_parent

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="Windows does not wake a sleeping process for a signal"
)

SAVING = """
    import os, signal, sys, time
    from gptkit.runtime import lifeline
    lifeline._POLL_SECONDS = 0.05
    lifeline._SAVING_SECONDS = 0.5
    def save(number, frame):
        print("saved", flush=True)
        sys.exit(143)
    signal.signal(signal.SIGTERM, save)
    lifeline.end_with_parent()
    print("ready", flush=True)
    time.sleep(600)
"""
STUBBORN = SAVING.replace("sys.exit(143)", "time.sleep(600)")


def start(code, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def end_of(code, **environment):
    """Start a rank, let its stdin end, and return its exit code and what it printed since."""
    with start(code, **environment) as rank:
        assert rank.stdout.readline() == "ready\n"
        out, _ = rank.communicate(timeout=60)
        return rank.returncode, out


def test_a_rank_whose_launcher_is_gone_saves_and_ends():
    assert end_of(SAVING, **{LIFELINE: "1"}) == (143, "saved\n")


def test_a_rank_that_does_not_end_in_time_is_ended():
    assert end_of(STUBBORN, **{LIFELINE: "1"}) == (1, "saved\n")


def test_a_process_that_no_launcher_started_may_lose_its_stdin():
    code = SAVING.replace("time.sleep(600)", "time.sleep(0.5)")

    assert end_of(code) == (0, "")


def test_what_a_rank_starts_has_a_stdin_of_its_own(monkeypatch):
    monkeypatch.setenv(LIFELINE, "1")
    monkeypatch.setattr(
        "gptkit.runtime.lifeline._wait_for_end_of_stdin", lambda: threading.Event().wait()
    )

    end_with_parent()

    assert LIFELINE not in os.environ


def test_a_rank_of_torchrun_ends_when_torchrun_is_killed(tmp_path):
    place = tmp_path / "out"
    torchrun = f"""
        import subprocess, sys, time
        with open({str(place)!r}, "wb") as out:
            subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=out)
        time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(torchrun), textwrap.dedent(SAVING)]
    with subprocess.Popen(command, env={**os.environ, "TORCHELASTIC_RUN_ID": "none"}) as process:
        deadline = time.monotonic() + 60
        while not (place.exists() and place.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()

    while place.read_text(encoding="utf-8").split() != ["ready", "saved"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
