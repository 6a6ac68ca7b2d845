"""The names below `checkpoints/`.

step_00002000                      a whole checkpoint
step_00002000.replaced-...         the former one of that step, for the moment of replacing it
step_00002000.corrupt              set aside: it did not verify
step_00002000.abandoned            set aside: the run went on from an earlier step
.step_00002000.tmp-<pid>-<nonce>   being written, or left by a process that died
.step_00002000.gone-<pid>-<nonce>  being removed, likewise
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

CONFIG_NAME = "config.yaml"
TOKENIZER_NAME = "tokenizer.json"

_WHOLE = re.compile(r"step_(\d{8,18})")
_REPLACED = re.compile(r"(step_\d{8,18})\.replaced-.+")
_CORRUPT = re.compile(r"step_\d{8,18}\.corrupt(-\d+)?")
_ABANDONED = re.compile(r"step_\d{8,18}\.abandoned(-\d+)?")
_HIDDEN = re.compile(r"\.step_\d{8,18}\.(tmp|gone)-.+")


def checkpoints_folder(run_dir: Path) -> Path:
    """Return where a run keeps its checkpoints."""
    return run_dir / "checkpoints"


def step_name(step: int) -> str:
    """Return the folder name of a step's checkpoint: step_00002000."""
    return f"step_{step:08d}"


def step_of(name: str) -> int | None:
    """Return the step that a folder name stands for; None when it is not a checkpoint's name."""
    match = _WHOLE.fullmatch(name)
    if match is None or step_name(int(match[1])) != name:
        return None
    return int(match[1])


def marked(folder: Path, mark: Literal["tmp", "gone", "replaced"]) -> Path:
    """Return a name that nothing has, for `folder` while it is written, removed or replaced."""
    hidden = "" if mark == "replaced" else "."
    unique = f"{os.getpid()}-{secrets.token_hex(4)}"
    return folder.with_name(f"{hidden}{original_name(folder)}.{mark}-{unique}")


def aside_name(folder: Path, mark: Literal["corrupt", "abandoned"]) -> Path:
    """Return a free name for setting `folder` aside."""
    base = folder.with_name(f"{original_name(folder)}.{mark}")
    candidate, i = base, 1
    while os.path.lexists(candidate):
        i += 1
        candidate = base.with_name(f"{base.name}-{i}")
    return candidate


def original_name(folder: Path) -> str:
    """Return step_00002000 for that folder and for one that was replaced."""
    match = _REPLACED.fullmatch(folder.name)
    return match[1] if match else folder.name


def candidates(run_dir: Path) -> list[Path]:
    """Return what may be checkpoints, newest first, replaced ones after their successors."""
    found = [
        (step, folder.name == name, folder)
        for folder in _folders(run_dir)
        if (step := step_of(name := original_name(folder))) is not None
    ]
    return [folder for _, _, folder in sorted(found, reverse=True)]


def corrupt(run_dir: Path) -> list[Path]:
    """Return the folders that were set aside because they did not verify."""
    return sorted(folder for folder in _folders(run_dir) if _CORRUPT.fullmatch(folder.name))


def abandoned(run_dir: Path) -> list[Path]:
    """Return the folders that were set aside because the run went on from an earlier step."""
    return sorted(folder for folder in _folders(run_dir) if _ABANDONED.fullmatch(folder.name))


def is_set_aside(folder: Path) -> bool:
    """Say whether a folder is one of these."""
    return any(pattern.fullmatch(folder.name) for pattern in (_CORRUPT, _ABANDONED))


def strays(run_dir: Path) -> list[Path]:
    """Return what was left by processes that died while writing or removing.

    Nothing is being written now: the caller holds the run's lock.
    """
    return [folder for folder in _folders(run_dir) if _HIDDEN.fullmatch(folder.name)]


def _folders(run_dir: Path) -> Iterator[Path]:
    parent = checkpoints_folder(run_dir)
    if parent.is_dir():
        yield from (entry for entry in parent.iterdir() if entry.is_dir())
