"""What `auto` means here: device, precision and compiler, each with its reason in a few words."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import Literal

import torch

from gptkit.errors import ConfigError
from gptkit.native.build import obstacle as no_parts
from gptkit.runtime.config import RuntimeConfig
from gptkit.runtime.peak import measured_flops, peak_flops

DType = Literal["float32", "bfloat16", "float16"]

# Time of a step in float32 / in bfloat16, measured with AMX, eager (benchmarks/cpu_training.md): 1.05
# to 1.1 at 64 and 96 channels, where it is not worth the precision, 1.1 to 1.8 at 128, 1.6 at 192,
# 1.9 at 256, 2.1 at 384.
_CPU_BFLOAT16_WIDTH = 128
# Rate of products in bfloat16 / in float32. With AMX 1.5 to 5, growing with the size, on a machine whose cores are
# shared; where bfloat16 is only emulated 0.002 to 1. The first trial is small, since some emulate it that slowly.
_MULTIPLIED, _EMULATED = 1.25, 0.5
_TRIAL_SIZES = (256, 384, 512)

# Compiling takes about a minute on a GPU and saves up to half of the time after it. On a CPU it takes 10 to 80 seconds;
# beside gptkit's own parts (gptkit/model/native) it saves 10 to 35 % of a step at 128 channels, nothing or less
# from 256 on (benchmarks/cpu_training.md). A busy machine makes a CPU look slow, and compiling slower still.
_COMPILE_PAYS_AFTER_SECONDS = {"cuda": 180.0, "cpu": 600.0}
_PARTS_ARE_AS_FAST_WIDTH = 256
_CPP_COMPILERS = ("g++", "clang++", "cl")
# Of the rate of products alone; on a CPU that of the quickstart.
_EAGER_UTILISATION = {"cuda": 0.2, "cpu": 0.3}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What a training run asks of the machine, as far as the choices depend on it."""

    n_embd: int
    total_flops: float | None = None
    """Forward and backward, all steps, all ranks; None: not known beforehand."""
    seconds: float | None = None
    """The time budget; None: there is none."""


def choose_device(setting: str, *, local_rank: int = 0, world_size: int = 1) -> torch.device:
    """Return the device that `setting` names, or the best one there is.

    Raises: ConfigError when it is not there, or when there are fewer than ranks ask for.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available() and world_size == 1,
        "cpu": True,
    }
    kind = next(name for name in there if there[name]) if setting == "auto" else setting
    if not there[kind]:
        usable = ", ".join(name for name in there if there[name])
        raise ConfigError(
            f"runtime.device: '{kind}' is not available here; there is {usable}, or auto"
        )
    if kind != "cuda":
        return torch.device(kind)
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"--devices: rank {local_rank} has no GPU of its own, there are"
            f" {torch.cuda.device_count()}; give fewer devices, or --set runtime.device=cpu"
        )
    return torch.device("cuda", local_rank)


def choose(
    config: RuntimeConfig, device: torch.device, workload: Workload | None
) -> tuple[RuntimeConfig, tuple[str, ...]]:
    """Return `config` without any `auto`, and the reason of each choice.

    workload: None where nothing is trained.

    Raises: ConfigError for float16 where it cannot be trained.
    """
    dtype, why_dtype = choose_dtype(config.dtype, device, workload)
    compiled, why_compile = choose_compile(config.compile, device, dtype, workload)
    resolved = config.model_copy(
        update={"device": device.type, "dtype": dtype, "compile": compiled}
    )
    obstacle = no_parts() if device.type == "cpu" else ""
    why_slow = f"torch's operations alone, slower: {obstacle}" if obstacle else ""
    reasons = (f"device {device_name(device)}", why_dtype, why_compile, why_slow)
    return resolved, tuple(reason for reason in reasons if reason)


def choose_dtype(
    setting: str, device: torch.device, workload: Workload | None
) -> tuple[DType, str]:
    """Return the precision of matrix products and why."""
    match setting:
        case "auto":
            return _auto_dtype(device, workload)
        case "float16" if device.type != "cuda" and workload is not None:
            raise ConfigError(
                f"runtime.dtype: float16 trains on cuda only, and this is {device.type};"
                " use bfloat16, float32 or auto"
            )
        case "bfloat16" if device.type == "cpu" and not multiplies_bfloat16():
            return (
                "bfloat16",
                "bfloat16 as set, though this CPU only emulates it: float32 is faster",
            )
        case "float32" | "bfloat16" | "float16":
            return setting, ""
    raise AssertionError(setting)


def _auto_dtype(device: torch.device, workload: Workload | None) -> tuple[DType, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "bfloat16: this GPU multiplies it"
        if torch.cuda.get_device_capability(device) >= (7, 0):
            return "float16", "float16 with loss scaling: this GPU has no bfloat16"
        return "float32", "float32: this GPU has no fast 16-bit products"
    if device.type == "mps":
        return "float32", "float32: 16 bits do not pay on mps"
    if not multiplies_bfloat16():
        return "float32", "float32: this CPU has no fast bfloat16 products"
    if workload is not None and workload.n_embd < _CPU_BFLOAT16_WIDTH:
        return "float32", f"float32: bfloat16 pays on a CPU from n_embd {_CPU_BFLOAT16_WIDTH} on"
    return "bfloat16", "bfloat16: this CPU multiplies it"


def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 clearly faster than float32: others only emulate it.

    One slow trial says nothing: another program may have had the cores.
    """
    for size in _TRIAL_SIZES:
        single = measured_flops(torch.float32, size=size)
        ratio = measured_flops(torch.bfloat16, size=size) / single
        if not _EMULATED < ratio < _MULTIPLIED:
            break
    return ratio > _MULTIPLIED


def choose_compile(
    setting: bool | Literal["auto"], device: torch.device, dtype: DType, workload: Workload | None
) -> tuple[bool, str]:
    """Return whether to compile the training step and why."""
    if setting != "auto":
        return setting, ""
    if workload is None or device.type not in ("cuda", "cpu"):
        return False, ""
    obstacle = _gpu_obstacle(device) if device.type == "cuda" else _cpu_obstacle(workload)
    seconds = _eager_seconds(device, dtype, workload)
    if seconds is not None and seconds < _COMPILE_PAYS_AFTER_SECONDS[device.type]:
        obstacle = "the run is short"
    if seconds is None and device.type == "cpu":
        obstacle = obstacle or "the run may be short"
    return (False, f"not compiled: {obstacle}") if obstacle else (True, "compiled")


def _gpu_obstacle(device: torch.device) -> str:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if torch.cuda.get_device_capability(device) < (7, 0):
        return "this GPU is too old for triton"
    return ""


def _cpu_obstacle(workload: Workload) -> str:
    if workload.n_embd >= _PARTS_ARE_AS_FAST_WIDTH and not no_parts():
        return "gptkit's own parts are as fast"
    named = os.environ.get("CXX")
    if not any(shutil.which(name) for name in ([named] if named else _CPP_COMPILERS)):
        return "there is no C++ compiler"
    return ""


def _eager_seconds(device: torch.device, dtype: DType, workload: Workload) -> float | None:
    """Return about how long the run takes without a compiler, None where nothing tells."""
    ends = [] if workload.seconds is None else [workload.seconds]
    if workload.total_flops is not None:
        on_gpu = device.type == "cuda"
        peak = peak_flops(device, torch.bfloat16 if on_gpu else getattr(torch, dtype))
        if peak is not None:
            ends.append(workload.total_flops / (peak * _EAGER_UTILISATION[device.type]))
    return min(ends, default=None)


def device_name(device: torch.device) -> str:
    """Return what the device is called; the model too, where it is a GPU."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
