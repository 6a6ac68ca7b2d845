import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from gptkit.runtime.launch import Place, is_launched, run_ranks

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
import os, pathlib, signal, sys, time
def note(number, frame):
    sys.exit(128 + number)
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGTERM, note)
pathlib.Path(sys.argv[1], os.environ["RANK"]).touch()
time.sleep(600)
"""
LAUNCHER = """
import sys
from gptkit.runtime.launch import run_ranks
sys.exit(run_ranks(2, [sys.executable, "-c", *sys.argv[1:]]))
"""

if os.name != "nt":  # Windows has no signals to pass on

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals_are_passed_on_to_the_ranks(tmp_path, number):
        launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, CHILD, str(tmp_path)])
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)

        launcher.send_signal(number)

        assert launcher.wait(timeout=60) == 128 + number
