"""Finding a usable checkpoint of a run, and saying what was wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptkit.checkpoint.manifest import MANIFEST_NAME, ManifestError, NewerFormatError, read_manifest
from gptkit.checkpoint.names import (
    abandoned,
    aside_name,
    candidates,
    corrupt,
    is_set_aside,
    original_name,
    step_of,
)
from gptkit.checkpoint.pointers import pointed
from gptkit.checkpoint.verify import Examination, examine, verify
from gptkit.errors import CheckpointError


@dataclass(frozen=True)
class Found:
    """A checkpoint that verifies, and in words what was passed over and done on the way to it."""

    folder: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckpointEntry:
    """One checkpoint of a listing, read to its last byte."""

    folder: Path
    step: int | None
    """None for a folder that was set aside, or moved and renamed."""
    examination: Examination
    is_best: bool = False
    is_last: bool = False

    @property
    def problems(self) -> list[str]:
        """What is wrong with it, in words; empty when it verifies."""
        return self.examination.problems

    @property
    def num_bytes(self) -> int:
        """Size of its files on the disk."""
        return sum(file.num_bytes or 0 for file in self.examination.files)

    @property
    def is_set_aside(self) -> bool:
        """Whether commands pass it over: it was damaged once, or the run went on without it."""
        return is_set_aside(self.folder)


def newest_usable(run_dir: Path) -> Found | None:
    """Return the newest checkpoint that verifies, for resuming; None when none was ever written.

    Newer ones that do not verify are renamed to `<name>.corrupt`. The caller holds the run's lock.

    Raises: CheckpointError when there are checkpoints and none is usable, or when the newest was
    made by a newer gptkit: going on from an older one would throw its work away.
    """
    found = _newest(run_dir, _set_aside)
    return found and Found(_with_proper_name(found.folder), found.notes)


def newest_verified(run_dir: Path) -> Found | None:
    """Return the newest checkpoint that verifies and change nothing; None when none was written.

    Raises: CheckpointError when there are checkpoints and none is usable.
    """
    return _newest(run_dir, not_usable)


def best_verified(run_dir: Path) -> Found | None:
    """Return the checkpoint with the lowest validation loss; the newest if none was evaluated.

    Where the best one is gone or damaged the newest that verifies takes its place, with a note.

    Raises: CheckpointError when there are checkpoints and none is usable.
    """
    best = pointed(run_dir, "best")
    if best is None:
        return newest_verified(run_dir)
    problems = verify(best)
    if not problems:
        return Found(best)
    newest = newest_verified(run_dir)
    note = not_usable(best, problems)
    if newest is None or note in newest.notes:
        return newest
    return Found(newest.folder, (note, *newest.notes))


def abandon_newer(run_dir: Path, step: int) -> list[str]:
    """Set aside the checkpoints after `step`, where the user has a run go on from there.

    They would count as the newest otherwise. Returns what was done, in words.

    Raises: CheckpointError when one cannot be renamed.
    """
    notes = []
    for folder in candidates(run_dir):
        if (step_of(original_name(folder)) or 0) <= step:
            break
        aside = aside_name(folder, "abandoned")
        try:
            folder.rename(aside)
        except OSError as error:
            raise CheckpointError(f"{folder} cannot be renamed: {error}") from None
        notes.append(f"{folder} renamed to {aside.name}")
    return notes


def checkpoints(run_dir: Path) -> list[CheckpointEntry]:
    """Return all checkpoints of a run, newest first, each verified; then those set aside."""
    best = pointed(run_dir, "best")
    last = pointed(run_dir, "last")
    return [
        list_one(folder, is_best=folder == best, is_last=folder == last)
        for folder in [*candidates(run_dir), *corrupt(run_dir), *abandoned(run_dir)]
    ]


def list_one(folder: Path, *, is_best: bool = False, is_last: bool = False) -> CheckpointEntry:
    """Return one checkpoint, verified, wherever it is."""
    step = step_of(original_name(folder))
    return CheckpointEntry(folder, step, examine(folder), is_best, is_last)


def saved_step(folder: Path) -> int:
    """Return the step of a verified checkpoint, whatever its folder is called.

    Raises: CheckpointError when it has changed since.
    """
    try:
        return read_manifest(folder).step
    except ManifestError as error:
        raise CheckpointError(not_usable(folder, [f"{MANIFEST_NAME}: {error}"])) from None


def not_usable(folder: Path, problems: Sequence[str]) -> str:
    """Return in one sentence, short however many there are, what is wrong with a checkpoint."""
    more = f" and {len(problems) - 3} more problems" if len(problems) > 3 else ""
    return f"{folder} is not usable: {'; '.join(problems[:3])}{more}"


def _newest(run_dir: Path, dismiss: Callable[[Path, list[str]], str]) -> Found | None:
    notes: list[str] = []
    for folder in candidates(run_dir):
        problems = verify(folder)
        if not problems:
            return Found(folder, tuple(notes))
        notes.append(dismiss(folder, problems))
    notes = notes or [f"{folder} was set aside before" for folder in corrupt(run_dir)]
    if notes:
        lines = "".join(f"\n  {note}" for note in notes)
        raise CheckpointError(f"{run_dir}: no checkpoint is usable:{lines}")
    return None


def _with_proper_name(folder: Path) -> Path:
    """Give a replaced folder its name back: the process died while putting the new one in place."""
    proper = folder.with_name(original_name(folder))
    return folder.rename(proper) if folder != proper else folder


def _set_aside(folder: Path, problems: list[str]) -> str:
    sentence = not_usable(folder, problems)
    if _made_by_newer(folder):
        raise CheckpointError(sentence)
    aside = aside_name(folder, "corrupt")
    try:
        folder.rename(aside)
    except OSError as error:
        return f"{sentence}; it cannot be renamed: {error.strerror or error}"
    return f"{sentence}; renamed to {aside.name}"


def _made_by_newer(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except NewerFormatError:
        return True
    except ManifestError:
        return False
    return False
