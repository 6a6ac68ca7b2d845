"""Where prepared and downloaded data lie, and how they get there: complete or not at all."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gptkit.atomic import sync_folder
from gptkit.errors import DataError

_UNFINISHED = ".unfinished-"
_STALE_SECONDS = 24 * 3600


def data_folder() -> Path:
    """Return the folder of everything that can be made again: `data`, or what GPTKIT_DATA names."""
    return Path(os.environ.get("GPTKIT_DATA") or "data")


def prepared_folder() -> Path:
    """Return the folder of the prepared datasets."""
    return data_folder() / "prepared"


def downloads_folder() -> Path:
    """Return the folder of the files that came from a `url`."""
    return data_folder() / "downloads"


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write to.

    Moving it away in the block is what keeps it: what is still there at the end goes, and so do the
    parent folders that were made for it and are empty.
    Raises: DataError in place of the system's errors.
    """
    parents = [folder for folder in target.parents if not folder.exists()]
    place = target.with_name(f"{_UNFINISHED}{target.name}-{uuid.uuid4().hex[:12]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target.parent)
        yield place
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror or error});"
            " the environment variable GPTKIT_DATA names another place"
        ) from error
    finally:
        remove(place)
        for folder in parents:
            # Stops at the first that holds something.
            with suppress(OSError):
                folder.rmdir()


def publish_folder(place: Path, target: Path, is_usable: Callable[[Path], bool]) -> None:
    """Let the finished folder `place` become `target`.

    Where another process was first, its folder stays if it is usable, and gives way if it is not.
    """
    sync_folder(place)
    while True:
        try:
            place.rename(target)
            break
        except OSError:
            if not target.exists():
                raise
            if is_usable(target):
                return
            # Moved before it is removed, so that nobody meets half of it.
            broken = place.with_name(f"{place.name}-broken")
            target.rename(broken)
            remove(broken)
    sync_folder(target.parent)


def publish_file(place: Path, target: Path) -> None:
    """Let the finished file `place` become `target`."""
    place.replace(target)
    sync_folder(target.parent)


def is_unfinished(path: Path) -> bool:
    """Return whether `path` is something that a process still writes, or died writing."""
    return path.name.startswith(_UNFINISHED)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left a day ago or earlier."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                remove(path)
