"""One writer per run folder."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from gptkit.errors import ConfigError, RunInUseError
from gptkit.runs import hold_run, lock, refuse_if_held

HOLD = """
import sys, time
from pathlib import Path
from gptkit.errors import RunInUseError
from gptkit.runs import hold_run
try:
    with hold_run(Path(sys.argv[1]), warn=print):
        print("held", flush=True)
        sys.stdin.read()
except RunInUseError as error:
    print("refused", flush=True)
"""


def start_holder(run_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_writer_is_told_who_holds_the_run(tmp_path: Path) -> None:
    with start_holder(tmp_path) as holder:
        assert first_line(holder) == "held"

        with pytest.raises(RunInUseError) as caught, hold_run(tmp_path, warn=pytest.fail):
            pass

        assert f"'{tmp_path}' is in use by process {holder.pid} on " in str(caught.value)
        assert ", started 20" in str(caught.value)
        holder.communicate()


def test_of_racing_writers_exactly_one_wins(tmp_path: Path) -> None:
    racers = [start_holder(tmp_path) for _ in range(5)]

    answers = [first_line(racer) for racer in racers]

    for racer in racers:
        racer.communicate()
    assert sorted(answers) == ["held", "refused", "refused", "refused", "refused"]


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    with start_holder(tmp_path) as holder:
        assert first_line(holder) == "held"
        holder.kill()
        holder.communicate()

    with hold_run(tmp_path, warn=pytest.fail):
        pass


def test_who_only_looks_is_told_the_holder_and_holds_nothing(tmp_path: Path) -> None:
    with start_holder(tmp_path) as holder:
        assert first_line(holder) == "held"
        with pytest.raises(RunInUseError, match=f"in use by process {holder.pid} on "):
            refuse_if_held(tmp_path)
        holder.communicate()

    refuse_if_held(tmp_path)
    with hold_run(tmp_path, warn=pytest.fail):
        pass


def test_looking_leaves_no_file(tmp_path: Path) -> None:
    refuse_if_held(tmp_path)
    refuse_if_held(tmp_path / "missing")

    assert list(tmp_path.iterdir()) == []


def test_a_writer_waits_for_those_who_only_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([errno.EAGAIN, errno.EACCES])
    lock_file = lock._lock

    def held_for_a_moment(descriptor: int) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise OSError(refusal, "locked")
        lock_file(descriptor)

    monkeypatch.setattr(lock, "_lock", held_for_a_moment)

    with hold_run(tmp_path, warn=pytest.fail):
        pass


def test_the_lock_ends_with_the_block_even_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_run(tmp_path, warn=pytest.fail):
        raise ZeroDivisionError

    with hold_run(tmp_path, warn=pytest.fail):
        pass


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    with hold_run(tmp_path, warn=pytest.fail):
        (tmp_path / ".lock").write_bytes(b"garbage")
        with (
            pytest.raises(RunInUseError, match="in use by another process"),
            hold_run(tmp_path, warn=pytest.fail),
        ):
            pass


def test_a_file_system_without_locks_gets_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_lock", no_locks)
    warnings: list[str] = []

    with hold_run(tmp_path, warn=warnings.append):
        assert "without locks" in warnings[0]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="cannot be written to"),
        hold_run(tmp_path / "missing", warn=pytest.fail),
    ):
        pass
