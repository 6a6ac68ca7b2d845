"""How long a piece of work takes at its best."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def best_seconds(work: Callable[[], object], device: torch.device, *, seconds: float) -> float:
    """Return the shortest time of `work` on `device` in `seconds` of trials, and at least two.

    The first trial sets up the kernel, which can take longer than the rest.
    """
    wait_for(device)
    best = float("inf")
    end = time.perf_counter() + seconds
    for trial in range(1_000_000):
        start = time.perf_counter()
        work()
        wait_for(device)
        now = time.perf_counter()
        best = min(best, now - start)
        if trial >= 1 and now > end:
            break
    return best


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU has no queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
