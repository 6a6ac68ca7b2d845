"""metrics.jsonl: one JSON object a line, each step once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptkit.atomic import write_chunks
from gptkit.loggers.base import Metrics

METRICS_NAME = "metrics.jsonl"

Row = dict[str, float | int | None]
"""One line; None stands for a value that was not finite."""


class MetricsFile:
    """Appends a line per step. What the disk does not take is lost, with one warning."""

    def __init__(self, path: Path, *, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn: Callable[[str], None] | None = warn
        self._open()

    def log(self, metrics: Metrics, step: int) -> None:
        line = _line({"step": step, **metrics})
        try:
            if self._file.write(line) != len(line):
                raise OSError("the disk took only part of a line")
            self._end += len(line)
        except OSError as error:
            self._lost(error)

    def go_back(self, step: int) -> None:
        """Drop the lines after `step`: the run does these steps again."""
        self._file.close()
        try:
            trim(self._path, step)
        except OSError as error:
            self._lost(error)
        self._open()

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._lost(error)

    def _open(self) -> None:
        # Unbuffered: a line is in the file when log returns; a failed write leaves nothing behind.
        self._file = self._path.open("ab", buffering=0)
        self._end = os.fstat(self._file.fileno()).st_size

    def _lost(self, error: OSError) -> None:
        if self._warn is not None:
            self._warn(f"{self._path}: {error.strerror or error}; metrics are lost from here on")
            self._warn = None
        try:
            self._file.truncate(self._end)  # no half line before the next whole one
        except (OSError, ValueError):
            return


def read_metrics(path: Path) -> list[Row]:
    """Return the lines, oldest first; torn ones, and a missing file, count as nothing."""
    return [row for _, row in _rows(path)] if path.exists() else []


def trim(path: Path, step: int) -> None:
    """Drop the lines after `step`, and torn ones: a run resumed there writes them again.

    The file is replaced as a whole: dying in the middle leaves the old one.
    """
    if not path.exists():
        return
    kept = b"".join(line for line, row in _rows(path) if _step_of(row) <= step)
    if kept != path.read_bytes():
        write_chunks(path, [kept])


def series(rows: Sequence[Mapping[str, float | int | None]], key: str) -> list[tuple[float, float]]:
    """Return (step, value) of every line that has a finite `key`."""
    found = ((row.get("step"), row.get(key)) for row in rows)
    return [(step, value) for step, value in found if step is not None and value is not None]


def _line(values: Mapping[str, Any]) -> bytes:
    # NaN and Infinity are no JSON: other programs stop at them.
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return (json.dumps(finite, allow_nan=False) + "\n").encode("utf-8")


def _rows(path: Path) -> Iterator[tuple[bytes, Row]]:
    """Yield the whole lines, each as bytes with its line feed, and parsed."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                yield line.rstrip(b"\r\n") + b"\n", row


def _step_of(row: Row) -> int:
    step = row["step"]
    assert isinstance(step, int)
    return step
