"""How fast the hardware multiplies matrices: from a table for GPUs, from a short trial for CPUs."""

from __future__ import annotations

import functools
import time

import torch

# Dense 16-bit peaks of the data sheets, in FLOP/s; the first name that a device's name contains
# counts.
_GPU_PEAKS = (
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989.4e12),
    ("H200 NVL", 835e12),
    ("H200", 989.4e12),
    ("GH200", 989.4e12),
    ("B200", 2250e12),
    ("A100", 312e12),
    ("A6000", 154.8e12),
    ("A40", 149.7e12),
    ("A10", 125e12),
    ("L40S", 362e12),
    ("L4", 121e12),
    ("RTX 5090", 209.5e12),
    ("RTX 4090", 165.2e12),
    ("RTX 4080", 97.5e12),
    ("RTX 3090", 71e12),
    ("V100", 125e12),
    ("T4", 65e12),
)


def peak_flops(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the peak in FLOP/s that MFU compares with, None where it is not known.

    For a GPU always that of 16-bit numbers, so that figures of one card compare; for a CPU that of
    `dtype`, measured.
    """
    if device.type == "cpu":
        return measured_flops(dtype, size=1024)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return next((peak for part, peak in _GPU_PEAKS if part in name), None)
    return None


@functools.lru_cache
def measured_flops(dtype: torch.dtype, *, size: int, seconds: float = 0.03) -> float:
    """Return the best rate at which this CPU multiplies two square matrices, in FLOP/s."""
    a = torch.ones(size, size, dtype=dtype)
    best = float("inf")
    end = time.perf_counter() + seconds
    # The first product sets up the kernel, which can take longer than the rest; it counts only when
    # it is alone.
    for trial in range(1000):
        start = time.perf_counter()
        torch.mm(a, a)
        now = time.perf_counter()
        best = min(best, now - start)
        if trial >= 1 and now > end:
            break
    return 2 * size**3 / best
