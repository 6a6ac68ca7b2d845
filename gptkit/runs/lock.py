"""One writer per run folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gptkit.errors import ConfigError, RunInUseError

LOCK_NAME = ".lock"

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}
_MAX_HOLDER_BYTES = 4096
# Who only looks holds the lock for a moment; and a new holder needs one to write its name.
_MOMENT_SECONDS = 0.3
_TRY_AGAIN_SECONDS = 0.02

if sys.platform == "win32":
    import msvcrt

    # Windows lets nobody read a locked byte; this one is far behind what is written.
    _LOCKED_BYTE = 1 << 30

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def hold_run(run_dir: Path, *, warn: Callable[[str], None]) -> Iterator[None]:
    """Be the only writer of a run folder for the time of the block.

    The operating system lets go of the lock when the process ends, however it ends; the file
    `.lock` stays, and only says who held it last. Where a file system has no locks, `warn` is told.

    Raises: RunInUseError naming the holder; ConfigError when the lock file cannot be made.
    """
    path = run_dir / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(f"'{run_dir}' cannot be written to: {error.strerror or error}") from None
    try:
        if _try_lock(descriptor, path):
            _name_holder(descriptor)
        else:
            warn(f"'{run_dir}' is on a file system without locks: start no second run in it")
        yield
    finally:
        os.close(descriptor)  # which unlocks it


def refuse_if_held(run_dir: Path) -> None:
    """Look whether a run folder has a writer, and change nothing.

    Raises: RunInUseError naming the holder.
    """
    path = run_dir / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # nobody ever held it, or this process cannot write to it either
        return
    try:
        _try_lock(descriptor, path)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    """Lock the file; return False where the file system has no locks."""
    deadline = time.monotonic() + _MOMENT_SECONDS
    while True:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _HELD_BY_ANOTHER:
                return False
            if time.monotonic() > deadline:
                raise RunInUseError(f"'{path.parent}' is in use by {_holder(path)}") from None
            time.sleep(_TRY_AGAIN_SECONDS)
        else:
            return True


def _name_holder(descriptor: int) -> None:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, (json.dumps(holder) + "\n").encode("utf-8"))


def _holder(path: Path) -> str:
    try:
        with path.open("rb") as file:
            holder = json.loads(file.read(_MAX_HOLDER_BYTES))
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # which has not yet written its name
