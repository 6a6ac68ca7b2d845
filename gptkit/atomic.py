"""Files that are whole or absent: written under another name, flushed to the disk, then renamed.

A process may die between any two lines here; what a reader finds is the old file or the new one.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# A file system that cannot flush a folder says so with one of these.
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM}


def write_text(path: Path, text: str) -> None:
    """Write a small text file, UTF-8 with line feeds, in place of what was there."""
    write_chunks(path, [text.encode("utf-8")])


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks`, one after another, to the file `path`, in place of what was there."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes left in a folder that died while writing; nobody writes there now."""
    for path in folder.glob(".*.tmp-*"):
        if path.is_file():
            with suppress(OSError):
                path.unlink()


def sync_file(path: Path) -> None:
    """Have the content of a closed file reach the disk."""
    with path.open("rb+") as file:  # Windows flushes only what was opened for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Have the names in a folder reach the disk, where the operating system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
