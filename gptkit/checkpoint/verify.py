"""Is a checkpoint folder exactly what was written?"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gptkit.checkpoint.manifest import (
    MANIFEST_NAME,
    FileFacts,
    ManifestError,
    read_manifest,
    sha256_of,
)
from gptkit.checkpoint.names import step_of

# What file managers and network file systems leave behind; nothing ever reads it.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
_LITTER_PREFIXES = ("._", ".nfs")


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a checkpoint folder, in words; nothing when it is whole.

    Every byte is read: sizes, sha256 of each file and of the manifest, missing and extra files, and
    whether there is anything but regular files.
    """
    if not folder.is_dir():
        return ["no such folder"]
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        return [f"{MANIFEST_NAME}: {error}"]
    problems = []
    named = step_of(folder.name)
    if named is not None and named != manifest.step:
        problems.append(f"holds step {manifest.step}, against its name")
    try:
        present = dict(_files_in(folder))
    except OSError as error:
        return [*problems, f"cannot be read: {error.strerror or error}"]
    problems += [f"{name}: not in the manifest" for name in present if name not in manifest.files]
    with ThreadPoolExecutor() as pool:
        found = pool.map(
            lambda item: _problem(folder / item[0], present.get(item[0]), item[1]),
            manifest.files.items(),
        )
        problems += [
            f"{name}: {what}" for name, what in zip(manifest.files, found, strict=True) if what
        ]
    return problems


def _problem(path: Path, status: os.stat_result | None, facts: FileFacts) -> str | None:
    if status is None:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size != facts.size:
        return f"{status.st_size:,} bytes instead of {facts.size:,}"
    try:
        return None if sha256_of(path) == facts.sha256 else "damaged: another sha256"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _files_in(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is in a folder but the manifest and litter, by name; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _files_in(Path(entry.path), f"{name}/")
            elif name != MANIFEST_NAME and not _is_litter(entry.name):
                yield name, entry.stat(follow_symlinks=False)


def _is_litter(name: str) -> bool:
    return name in _LITTER or name.startswith(_LITTER_PREFIXES)
