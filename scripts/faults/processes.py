"""Processes by number: who is whose child, and who is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process, oldest first."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    found = [int(child) for child, parent, state in rows if int(parent) == pid and state[0] != "Z"]
    return sorted(found)


def is_running(pid: int) -> bool:
    """Whether there is a process of this number that is no zombie."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return bool(listed.stdout.strip()) and not listed.stdout.strip().startswith("Z")


def gone_within(pids: Sequence[int], seconds: float) -> float:
    """Wait until none of the processes runs and return how long that took; end what is left.

    Raises: TimeoutError.
    """
    begun = time.monotonic()
    while left := [pid for pid in pids if is_running(pid)]:
        if time.monotonic() - begun > seconds:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise TimeoutError
        time.sleep(0.05)
    return time.monotonic() - begun
