"""How fast the hardware multiplies matrices: from a table of data sheets, from a short trial."""

from __future__ import annotations

import functools

import torch

from gptkit.runtime.timing import best_seconds

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
def measured_flops(
    dtype: torch.dtype,
    *,
    size: int,
    seconds: float = 0.03,
    device: torch.device = torch.device("cpu"),
) -> float:
    """Return the best rate at which a device multiplies two matrices of (size, size), in FLOP/s."""
    # Random numbers from a generator of their own: equal ones draw less power on a GPU, which then
    # seems faster than it is.
    generator = torch.Generator(device).manual_seed(0)
    a = torch.randn(size, size, generator=generator, device=device).to(dtype)
    return 2 * size**3 / best_seconds(lambda: torch.mm(a, a), device, seconds=seconds)
