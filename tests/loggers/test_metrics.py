"""metrics.jsonl: each step once, whatever ends the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.loggers.metrics import MetricsFile, read_metrics, series, trim


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def write(path: Path, *steps: int) -> None:
    metrics = MetricsFile(path, warn=pytest.fail)
    for step in steps:
        metrics.log({"train_loss": step / 2}, step)
    metrics.close()


def steps(path: Path) -> list[Any]:
    return [row["step"] for row in read_metrics(path)]


def test_a_line_is_in_the_file_as_soon_as_it_is_logged(path: Path) -> None:
    metrics = MetricsFile(path, warn=pytest.fail)
    metrics.log({"train_loss": 2.5, "tokens": 4096}, 3)

    assert path.read_bytes() == b'{"step": 3, "train_loss": 2.5, "tokens": 4096}\n'
    metrics.close()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_becomes_null(path: Path, value: float) -> None:
    metrics = MetricsFile(path, warn=pytest.fail)
    metrics.log({"train_loss": value}, 3)
    metrics.close()

    assert json.loads(path.read_bytes()) == {"step": 3, "train_loss": None}


def test_a_resumed_run_appends(path: Path) -> None:
    write(path, 1, 2)
    write(path, 3)

    assert steps(path) == [1, 2, 3]


def test_trimming_drops_what_comes_after_the_resumed_step(path: Path) -> None:
    write(path, 10, 20, 30, 40)
    trim(path, 20)

    assert steps(path) == [10, 20]


@pytest.mark.parametrize("length", range(1, 31))
def test_a_torn_last_line_is_dropped_and_the_next_line_is_whole(path: Path, length: int) -> None:
    write(path, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 3, "train_loss": 1.5}'[:length])
    trim(path, 3)
    write(path, 4)

    assert [json.loads(line)["step"] for line in path.read_bytes().splitlines()][-1] == 4
    assert steps(path) in ([1, 2, 4], [1, 2, 3, 4])
    assert (3 in steps(path)) == (length == 30)


def test_garbage_lines_count_as_nothing(path: Path) -> None:
    write(path, 1)
    garbage = b'\n[]\n{"no": "step"}\n\xff\xfe\nNot JSON\n' + b"[" * 100_000 + b"\n"
    path.write_bytes(path.read_bytes() + garbage)
    write(path, 2)

    assert steps(path) == [1, 2]


def test_trimming_leaves_a_file_alone_that_needs_none(path: Path) -> None:
    write(path, 1, 2)
    before = path.stat()
    trim(path, 2)

    assert path.stat() == before


def test_a_missing_file_is_an_empty_one(path: Path) -> None:
    trim(path, 5)

    assert read_metrics(path) == []


def test_dying_while_trimming_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 1, 2)

    def die(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        trim(path, 1)

    assert steps(path) == [1, 2]
    assert list(path.parent.iterdir()) == [path]


class FillingDisk:
    """A file whose disk takes `room` more bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self.room = file, room

    def write(self, data: bytes) -> int:
        if self.room == 0:
            raise OSError(28, "No space left on device")
        taken = self._file.write(data[: self.room])
        self.room -= taken
        return int(taken)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self._file, name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("room", [0, 7])
def test_a_full_disk_is_warned_about_once_and_leaves_no_torn_line(path: Path, room: int) -> None:
    write(path, 1)
    warnings: list[str] = []
    metrics = MetricsFile(path, warn=warnings.append)
    disk = FillingDisk(metrics._file, room)
    metrics._file = disk  # type: ignore[assignment]
    metrics.log({}, 2)
    metrics.log({}, 3)
    disk.room = 1000
    metrics.log({}, 4)
    metrics.close()

    assert len(warnings) == 1
    assert "metrics are lost" in warnings[0]
    assert [json.loads(line)["step"] for line in path.read_bytes().splitlines()] == [1, 4]


def test_a_series_has_the_finite_values_of_a_key() -> None:
    rows = [
        {"step": 1, "a": 2.0},
        {"step": 2, "a": None},
        {"step": 3, "b": 1.0},
        {"step": 4, "a": 0},
    ]

    assert series(rows, "a") == [(1, 2.0), (4, 0)]
