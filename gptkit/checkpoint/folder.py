"""Writing a checkpoint folder: complete or absent, whatever moment the process dies at.

    files in .step_00002000.tmp-...  ->  flush each  ->  MANIFEST.json  ->  rename  ->  flush names

A folder called step_00002000 is therefore whole, and nothing is ever written into it again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gptkit.atomic import sync_file, sync_folder
from gptkit.checkpoint.manifest import read_manifest, write_manifest
from gptkit.checkpoint.names import checkpoints_folder, marked, step_name, strays
from gptkit.checkpoint.verify import verify
from gptkit.errors import GptkitError


class SaveError(GptkitError):
    """A checkpoint could not be written; those that were there are untouched."""


def commit(run_dir: Path, step: int, fill: Callable[[Path], None]) -> Path:
    """Make the checkpoint folder of a step and return it; `fill` writes the files into it.

    A folder of this step that has the same content is kept as it is; any other is replaced.

    Raises: SaveError when the disk does not take it; whatever `fill` raises.
    """
    final = checkpoints_folder(run_dir) / step_name(step)
    temporary = marked(final, "tmp")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        fill(temporary)
        for path in temporary.rglob("*"):
            sync_folder(path) if path.is_dir() else sync_file(path)
        write_manifest(temporary, step)
        _put_in_place(temporary, final)
        sync_folder(final.parent)
    except OSError as error:
        raise SaveError(f"cannot save {final}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary)
    return final


def remove(folder: Path) -> None:
    """Remove a checkpoint folder: first its name, then its files; no half of one is ever seen.

    Raises: OSError.
    """
    gone = marked(folder, "gone")
    folder.rename(gone)
    _remove_files(gone)


def remove_strays(run_dir: Path) -> None:
    """Remove what processes left that died while saving or removing; it can fill a disk."""
    for folder in strays(run_dir):
        with suppress(OSError):
            _remove_files(folder)


def require_space(run_dir: Path, num_bytes: int) -> None:
    """Make sure that a checkpoint of this size fits on the disk of a run folder that exists.

    Raises: SaveError with what it needs and what there is.
    """
    try:
        free = shutil.disk_usage(run_dir).free
    except OSError:
        return  # a file system that does not say; writing will show
    if num_bytes > free:
        raise SaveError(
            f"cannot save in {run_dir}: disk full: needs {num_bytes / 1e6:,.1f} MB,"
            f" {free / 1e6:,.1f} MB are free"
        )


def _put_in_place(temporary: Path, final: Path) -> None:
    if not os.path.lexists(final):
        temporary.rename(final)
        return
    if not verify(final) and read_manifest(final) == read_manifest(temporary):
        return
    # The former one stays readable under its other name until the new one has the proper name.
    former = marked(final, "replaced")
    final.rename(former)
    try:
        temporary.rename(final)
    except OSError:
        former.rename(final)
        raise
    with suppress(OSError):  # retention tries again
        remove(former)


def _remove_files(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)
