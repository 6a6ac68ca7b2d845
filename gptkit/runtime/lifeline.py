"""A rank ends when its launcher does, however that one ended.

    launch      holds the other end of each rank's stdin, which the system closes with it
    torchrun    is the parent of each rank; an orphan gets another parent (not on Windows)

The rank then ends as SIGTERM would have it, so that a run is saved.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

LIFELINE = "GPTKIT_LIFELINE"
"""Set for a process whose stdin ends with its launcher."""

_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
_POLL_SECONDS = 1.0
_SAVING_SECONDS = 20.0


def end_with_parent() -> None:
    """From now on, end when the launcher is gone; does nothing where no launcher started this process."""
    if os.environ.pop(LIFELINE, None) is not None:
        wait: Callable[[], None] = _wait_for_end_of_stdin
    elif _BY_TORCHRUN in os.environ and os.name == "posix":
        wait = partial(_wait_for_another_parent, os.getppid())
    else:
        return
    threading.Thread(target=_end_after, args=(wait,), name="lifeline", daemon=True).start()


def _end_after(wait: Callable[[], None]) -> None:
    wait()
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)  # os.kill would end it unsaved
    else:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SAVING_SECONDS)
    os._exit(1)


def _wait_for_end_of_stdin() -> None:
    # Not sys.stdin: the interpreter cannot end while a thread holds its lock.
    while os.read(0, 1):
        pass


def _wait_for_another_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
