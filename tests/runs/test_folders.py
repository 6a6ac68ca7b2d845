"""Names of run folders, and which run is the newest."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gptkit.errors import ConfigError
from gptkit.runs import (
    holds_run,
    list_runs,
    make_run_dir,
    new_run_dir,
    read_record,
    runs_folder,
    start_run,
)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    monkeypatch.setenv("GPTKIT_RUNS", str(folder))
    return folder


def test_the_environment_names_the_runs_folder(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_folder() == runs

    monkeypatch.delenv("GPTKIT_RUNS")
    assert runs_folder() == Path("runs")


def test_a_taken_name_gets_a_number(runs: Path) -> None:
    assert [new_run_dir("mine") for _ in range(3)] == [
        runs / "mine",
        runs / "mine-2",
        runs / "mine-3",
    ]


def test_racing_starts_never_share_a_folder(runs: Path) -> None:
    program = (
        "from gptkit.runs import new_run_dir\nfor _ in range(20): print(new_run_dir('mine').name)"
    )
    command = [sys.executable, "-c", program]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        for _ in range(4)
    ]
    names = [name for process in processes for name in process.communicate()[0].split()]

    assert len(names) == 80
    assert sorted(names) == sorted(path.name for path in runs.iterdir())


@pytest.mark.parametrize("make", [lambda runs: new_run_dir("mine"), make_run_dir])
def test_a_folder_that_cannot_be_made_is_an_error(runs: Path, make: object) -> None:
    runs.write_text("a file", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"the run folder '.*' cannot be made"):
        make(runs)  # type: ignore[operator]


@pytest.mark.parametrize("sign", ["checkpoints/", "config.yaml", "metrics.jsonl", "run.json"])
def test_a_folder_with_any_trace_holds_a_run(tmp_path: Path, sign: str) -> None:
    assert not holds_run(tmp_path)

    if sign.endswith("/"):
        (tmp_path / sign).mkdir()
    else:
        (tmp_path / sign).touch()
    assert holds_run(tmp_path)


def test_every_start_is_recorded(runs: Path) -> None:
    run = new_run_dir("mine")
    before = time.time_ns()
    start_run(run)
    start_run(run)

    starts = read_record(run).starts
    assert len(starts) == 2
    assert before <= starts[0] < starts[1] <= time.time_ns() + 1


def test_the_latest_start_counts_not_the_making(runs: Path) -> None:
    first, second = new_run_dir("first"), new_run_dir("second")
    for run in (first, second, first):
        start_run(run)

    assert list_runs() == [first, second]


def test_a_clock_that_goes_back_does_not_change_the_order(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = new_run_dir("first"), new_run_dir("second")
    start_run(first)
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    start_run(second)

    assert list_runs() == [second, first]


def test_a_member_of_a_sweep_stays_one(runs: Path) -> None:
    run = new_run_dir("mine")
    start_run(run, sweep=True)
    start_run(run)

    assert read_record(run).sweep


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"starts": 3}', b'{"starts": ["x"]}'])
def test_a_damaged_record_counts_as_no_start(runs: Path, content: bytes) -> None:
    run = new_run_dir("mine")
    (run / "run.json").write_bytes(content)

    assert read_record(run).starts == ()
    start_run(run)
    assert len(json.loads((run / "run.json").read_bytes())["starts"]) == 1
