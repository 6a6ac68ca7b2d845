"""checkpoints/best and checkpoints/last: text files that hold the name of a step folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gptkit.atomic import write_text
from gptkit.checkpoint.names import checkpoints_folder, step_of

Pointer = Literal["best", "last"]

_MAX_POINTER_BYTES = 100


def point(run_dir: Path, pointer: Pointer, folder: Path) -> None:
    """Let a pointer name this checkpoint folder of the run.

    Raises: OSError when the disk does not take it; the old pointer is then still there.
    """
    assert step_of(folder.name) is not None, f"{folder} is no checkpoint's name"
    write_text(checkpoints_folder(run_dir) / pointer, folder.name + "\n")


def pointed(run_dir: Path, pointer: Pointer) -> Path | None:
    """Return the folder that a pointer names; None without a pointer, or with nothing behind it."""
    path = checkpoints_folder(run_dir) / pointer
    try:
        with path.open("rb") as file:
            name = file.read(_MAX_POINTER_BYTES).decode("utf-8", errors="replace").strip()
    except OSError:
        return None
    if step_of(name) is None:
        return None
    folder = path.with_name(name)
    return folder if folder.is_dir() else None
