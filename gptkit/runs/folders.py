"""Run folders: their names, and run.json, which records when a run was started.

{"format_version": 1, "starts": [1767225600000000000, ...], "sweep": false}
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from gptkit.atomic import write_text
from gptkit.errors import ConfigError

RECORD_NAME = "run.json"

# Any of these makes a folder a run.
_SIGNS = ("checkpoints", "config.yaml", "metrics.jsonl", RECORD_NAME)


@dataclass(frozen=True)
class RunRecord:
    """What run.json says."""

    starts: tuple[int, ...] = ()
    """Nanoseconds since 1970, oldest first."""
    sweep: bool = False
    """A member of a sweep never is "the newest run"."""


def runs_folder() -> Path:
    """Return the folder that holds the runs: $GPTKIT_RUNS, or runs."""
    return Path(os.environ.get("GPTKIT_RUNS") or "runs")


def new_run_dir(name: str) -> Path:
    """Make and return the first free of NAME, NAME-2, NAME-3, ...; two starts never share one.

    Raises: ConfigError when it cannot be made.
    """
    assert name and Path(name).name == name, f"{name!r} is no folder name"
    folder = runs_folder()
    candidate, i = folder / name, 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                candidate.mkdir()
                return candidate
            except FileExistsError:
                i += 1
                candidate = folder / f"{name}-{i}"
    except OSError as error:
        raise _cannot_make(candidate, error) from None


def make_run_dir(run_dir: Path) -> None:
    """Make a run folder that the user named, where it is not there yet.

    Raises: ConfigError when it cannot be made.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(run_dir, error) from None


def holds_run(folder: Path) -> bool:
    """Say whether a run was ever started in this folder."""
    return any((folder / sign).exists() for sign in _SIGNS)


def start_run(run_dir: Path, *, sweep: bool = False) -> None:
    """Record that the run is being started, or resumed, now.

    The time is later than any recorded by its neighbours, even where the clock went back: it is
    there to tell the newest run. A member of a sweep stays one.
    """
    latest = max((run.starts[-1] for run in _neighbours(run_dir) if run.starts), default=0)
    now = max(time.time_ns(), latest + 1)
    before = read_record(run_dir)
    content = {
        "format_version": 1,
        "starts": [*before.starts, now],
        "sweep": sweep or before.sweep,
    }
    write_text(run_dir / RECORD_NAME, json.dumps(content) + "\n")


def read_record(run_dir: Path) -> RunRecord:
    """Return what run.json says; nothing where it is missing or damaged."""
    try:
        content = json.loads((run_dir / RECORD_NAME).read_bytes())
        starts = tuple(sorted(int(start) for start in content["starts"]))
        return RunRecord(starts, content.get("sweep") is True)
    except (
        OSError,
        ArithmeticError,  # int(inf)
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return RunRecord()


def list_runs(folder: Path | None = None) -> list[Path]:
    """Return the run folders below `folder` (else `runs_folder()`), latest recorded start first."""
    parent = folder or runs_folder()
    if not parent.is_dir():
        return []
    found = [path for path in parent.iterdir() if path.is_dir() and holds_run(path)]
    return sorted(found, key=lambda run: (read_record(run).starts[-1:], run.name), reverse=True)


def _neighbours(run_dir: Path) -> list[RunRecord]:
    return [read_record(run) for run in list_runs(run_dir.absolute().parent)]


def _cannot_make(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"the run folder '{folder}' cannot be made: {error.strerror or error}")
