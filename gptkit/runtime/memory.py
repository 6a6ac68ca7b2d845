"""Memory of a CPU run: what a training step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import platform

# From glibc's malloc.h; no header is needed for the rest, the C library is in every process.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 2**30
_LARGEST_HEAP_BLOCK = 32 * 2**20  # glibc takes no more


def keep_freed_memory() -> None:
    """Have glibc keep big blocks that are freed; elsewhere do nothing.

    Else each step gives its activations back to the system and faults them in again: 7 to 17 % of
    the time of a small model's step (benchmarks/cpu_training.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK)
