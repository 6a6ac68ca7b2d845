"""Is a checkpoint folder exactly what was written?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gptkit.checkpoint.manifest import (
    MANIFEST_NAME,
    MAX_FILES,
    FileFacts,
    ManifestError,
    read_manifest,
    sha256_of,
)
from gptkit.checkpoint.names import step_of

# What file managers and network file systems leave behind; nothing ever reads it.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
_LITTER_PREFIXES = ("._", ".nfs")

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change and inode of each file."""


@dataclass(frozen=True)
class FileState:
    """One file of a checkpoint folder, held against the manifest."""

    name: str
    num_bytes: int | None = None
    """On the disk; None for what is not there."""
    sha256: str | None = None
    """Of its content, in hexadecimal; None where it was not read."""
    problem: str | None = None
    """What is wrong with it, in words."""


@dataclass(frozen=True)
class Examination:
    """What `examine` found; the folder is whole when there is no problem."""

    files: tuple[FileState, ...] = ()
    """The manifest first, then what it names, then what it does not."""
    folder_problems: tuple[str, ...] = ()
    """What is wrong beside the files."""

    @property
    def problems(self) -> list[str]:
        """All that is wrong, in words."""
        of_files = [f"{file.name}: {file.problem}" for file in self.files if file.problem]
        return [*self.folder_problems, *of_files]


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a checkpoint folder, in words; nothing when it is whole.

    Every byte is read: sizes, sha256 of each file and of the manifest, missing and extra files, and
    whether there is anything but regular files.
    """
    return examine(folder).problems


def examine(folder: Path) -> Examination:
    """Return what `verify` finds, file by file. No link is followed, and no more is read than the manifest names."""
    if folder.is_symlink() or not folder.is_dir():
        what = "a link, not a folder" if folder.is_symlink() else "no such folder"
        return Examination(folder_problems=(what,))
    try:
        present = _present(folder)
    except OSError as error:
        return Examination(folder_problems=(f"cannot be read: {error.strerror or error}",))
    if len(present) > MAX_FILES + 1:  # the manifest
        return Examination(folder_problems=(f"holds more than {MAX_FILES:,} files",))
    size = present[MANIFEST_NAME].st_size if MANIFEST_NAME in present else None
    others = {name: status for name, status in present.items() if name != MANIFEST_NAME}
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        unread = (FileState(_printable(name), status.st_size) for name, status in others.items())
        return Examination((FileState(MANIFEST_NAME, size, problem=str(error)), *unread))
    named = step_of(folder.name)
    wrong_step = named is not None and named != manifest.step
    return Examination(
        (
            FileState(MANIFEST_NAME, size, manifest.sha256),
            *_named_files(folder, manifest.files, others),
            *(
                FileState(_printable(name), status.st_size, problem="not in the manifest")
                for name, status in others.items()
                if name not in manifest.files
            ),
        ),
        (f"holds step {manifest.step}, against its name",) if wrong_step else (),
    )


def stamp(folder: Path) -> Stamp | None:
    """Return what changes when a file of the folder does; None where it cannot be read."""
    try:
        return tuple(
            (name, status.st_size, status.st_mtime_ns, status.st_ino)
            for name, status in sorted(_present(folder).items())
        )
    except OSError:
        return None


def _named_files(
    folder: Path, files: Mapping[str, FileFacts], present: Mapping[str, os.stat_result]
) -> Iterator[FileState]:
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter lock
        yield from pool.map(
            lambda item: _state(folder, item[0], present.get(item[0]), item[1]), files.items()
        )


def _state(folder: Path, name: str, status: os.stat_result | None, facts: FileFacts) -> FileState:
    if status is None:
        return FileState(name, problem="missing")
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        return FileState(name, size, problem="not a regular file")
    if size != facts.size:
        return FileState(name, size, problem=f"{size:,} bytes instead of {facts.size:,}")
    try:
        sha256 = sha256_of(folder / name)
    except OSError as error:
        return FileState(name, size, problem=f"cannot be read: {error.strerror or error}")
    return FileState(
        name, size, sha256, None if sha256 == facts.sha256 else "damaged: another sha256"
    )


def _present(folder: Path) -> dict[str, os.stat_result]:
    """Return what is in a folder but litter, by name, at most a few more than a checkpoint may hold.

    Nothing is deeper than `plugins/mine.py`: folders below that are entries like any other.
    """
    found: dict[str, os.stat_result] = {}
    for name, entry in _entries(folder):
        if not _is_litter(entry.name):
            found[name] = entry.stat(follow_symlinks=False)
        if len(found) > MAX_FILES + 1:
            break
    return found


def _entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.name, entry
                continue
            with os.scandir(entry) as inner:
                for below in inner:
                    yield f"{entry.name}/{below.name}", below


def _printable(name: str) -> str:
    """Return a name that is safe to print: one from elsewhere may hold a terminal's commands."""
    return name if name.isprintable() else ascii(name)


def _is_litter(name: str) -> bool:
    return name in _LITTER or name.startswith(_LITTER_PREFIXES)
