"""gptkit checkpoint: which checkpoints there are, and whether they are what was written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.checkpoint import CheckpointEntry, FileState, checkpoints, list_one, not_usable
from gptkit.errors import CheckpointError, ConfigError
from gptkit.recipes.journal import say
from gptkit.runs import is_checkpoint, run_folder

_HEADINGS = ("name", "step", "size", "mark", "state")


def ls(path: Path | None, *, as_json: bool) -> None:
    """Print the checkpoints of a run, newest first, those set aside last. Changes nothing.

    Raises: ConfigError when there is no such run, or it has no checkpoint.
    """
    place, entries = _listing(path)
    if as_json:
        print(json.dumps({"path": str(place), "checkpoints": [_as_json(e) for e in entries]}))
        return
    for line in _aligned([_HEADINGS, *map(_row, entries)]):
        print(line)


def verify(path: Path | None, *, as_json: bool) -> None:
    """Print the state of each file of each checkpoint; those that were set aside count as gone. Changes nothing.

    Raises: ConfigError as `ls`; CheckpointError when one does not verify, or all were set aside.
    """
    place, entries = _listing(path)
    counting = [entry for entry in entries if not entry.is_set_aside] or entries
    bad = [entry for entry in counting if entry.problems or entry.is_set_aside]
    if as_json:
        listing = [{**_as_json(entry), "files": _files(entry)} for entry in counting]
        print(json.dumps({"path": str(place), "verifies": not bad, "checkpoints": listing}))
    else:
        for entry in counting:
            print(entry.folder)
            for problem in entry.examination.folder_problems:
                print(f"  {problem}")
            for line in _aligned([_file_row(file) for file in entry.examination.files]):
                print(f"  {line}")
    if bad:
        raise CheckpointError(
            "\n".join(not_usable(e.folder, e.problems or ["it was set aside"]) for e in bad)
        )


def _listing(path: Path | None) -> tuple[Path, list[CheckpointEntry]]:
    """Return the run or checkpoint that `path` means, and the checkpoints there."""
    if path is not None and is_checkpoint(path):
        say(f"{path}")
        return path, [list_one(path)]
    run = run_folder(path)
    say(f"{run}")
    entries = checkpoints(run)
    if not entries:
        raise ConfigError(f"'{run}' has no checkpoint yet")
    return run, entries


def _row(entry: CheckpointEntry) -> tuple[str, ...]:
    marks = ("best", entry.is_best), ("last", entry.is_last), ("set aside", entry.is_set_aside)
    return (
        entry.folder.name,
        "-" if entry.step is None else f"{entry.step:,}",
        _size(entry.num_bytes),
        ", ".join(mark for mark, is_marked in marks if is_marked) or "-",
        _shortened(entry.problems) or "verifies",
    )


def _as_json(entry: CheckpointEntry) -> dict[str, Any]:
    return {
        "name": entry.folder.name,
        "step": entry.step,
        "bytes": entry.num_bytes,
        "best": entry.is_best,
        "last": entry.is_last,
        "set_aside": entry.is_set_aside,
        "verifies": not entry.problems,
        "problems": entry.problems,
    }


def _files(entry: CheckpointEntry) -> list[dict[str, Any]]:
    return [
        {"name": file.name, "bytes": file.num_bytes, "sha256": file.sha256, "problem": file.problem}
        for file in entry.examination.files
    ]


def _file_row(file: FileState) -> tuple[str, ...]:
    size = "-" if file.num_bytes is None else f"{file.num_bytes:,}"
    return (
        file.name,
        size,
        file.sha256 or "-",
        file.problem or ("ok" if file.sha256 else "not read"),
    )


def _shortened(problems: Sequence[str]) -> str:
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return problems[0] + more if problems else ""


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes:,} B"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
