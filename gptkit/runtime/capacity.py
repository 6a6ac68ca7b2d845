"""How much memory there is, and how much of it this process has."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

# What a container may use: version 2 of Linux's control groups, then version 1.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def device_memory(device: torch.device) -> int | None:
    """Return the bytes that a device has in all, None where nothing tells."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    found = [limit for limit in (_physical(), *map(_limit, _LIMITS)) if limit]
    return min(found, default=None)


def resident_bytes() -> int | None:
    """Return the memory that this process has now, None where nothing tells without an extra."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """Return the most memory that this process had since `forget_peak`, None where nothing tells."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let `peak_bytes` count from here, where the system can do that (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return 1024 * int(line.split()[1])  # "VmRSS:   123 kB"
    return None


def _physical() -> int | None:
    if sys.platform == "win32":
        return None
    with suppress(ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _limit(path: str) -> int | None:
    with suppress(OSError, ValueError):
        return int(Path(path).read_text(encoding="ascii"))
    return None
