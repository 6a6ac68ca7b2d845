"""gptkit doctor: what this machine can do, each figure with what it is good for."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from gptkit import __version__
from gptkit.atomic import write_text
from gptkit.data.folders import data_folder
from gptkit.errors import ConfigError, RunInUseError
from gptkit.generation.native import STEP
from gptkit.model.native import PARTS
from gptkit.native.build import Source, library
from gptkit.recipes.journal import say
from gptkit.runs import hold_run, runs_folder
from gptkit.runtime import ceilings
from gptkit.runtime.choose import Workload, choose, device_name
from gptkit.runtime.config import RuntimeConfig
from gptkit.runtime.runtime import Runtime

# What `auto` chooses depends on the run: one that is small and short, one that is neither.
_EXAMPLES = {
    "small": Workload(n_embd=64, seconds=60.0),
    "large": Workload(n_embd=768, seconds=3600.0),
}
_PRECISIONS = {
    torch.float32: "matrix products in full precision: most of the time of training",
    torch.bfloat16: "the same with half the bits; training uses it where it is much faster",
    torch.float16: "the same for GPUs that are too old for bfloat16",
}

Line = tuple[str, str, str]
"""Name, value, what it is for."""


def run(device: str, *, as_json: bool) -> None:
    """Measure and print; a few seconds, and nothing stays behind.

    Raises: ConfigError when the device is not there.
    """
    try:
        config = RuntimeConfig.model_validate({"device": device})
    except ValidationError:
        raise ConfigError(f"--device {device}: must be auto, cpu, cuda or mps") from None
    say("measuring; figures are lower while other programs work")
    facts = examine(config)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    lines = list(_lines(facts))
    names, values = (max(len(line[column]) for line in lines) for column in (0, 1))
    for name, value, meaning in lines:
        print(f"{name:<{names}}  {value:<{values}}  {meaning}".rstrip())


def examine(config: RuntimeConfig) -> dict[str, Any]:
    """Return what was found, as JSON values; null stands for what this machine cannot do.

    device          cpu, cuda or mps, and device_name in full
    cores, threads  of the processor, and how many of them the products use
    gflops          by precision: the best rate of matrix products, in 1e9 operations a second
    read_gb_per_second
    attention       gflops, forward and backward, causal; dtype; batch, heads, length, head_dim
    auto            for a small and a large run: n_embd, seconds, then dtype, compile and reasons
    compiled_decode_step  true, or why there is none: writing is slower without
    compiled_parts        the same of the parts of a model that torch does not fuse: training is
    folders         runs and data: path, free_gb, and locks and flush_ms, null if not writable
    versions        gptkit, python, torch, os

    Raises: ConfigError when the device is not there.
    """
    with Runtime.start(config, _EXAMPLES["large"]) as runtime:  # set up as for training
        device = runtime.device
        shape = ceilings.attention_shape(device)
        return {
            "device": device.type,
            "device_name": _full_name(device),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gflops": {
                _plain(dtype): _giga(ceilings.matrix_flops(dtype, device)) for dtype in _PRECISIONS
            },
            "read_gb_per_second": _giga(ceilings.read_bandwidth(device)),
            "attention": {
                "gflops": _giga(ceilings.attention_flops(runtime.dtype, device)),
                "dtype": runtime.config.dtype,
                "batch": shape.batch,
                "heads": shape.heads,
                "length": shape.length,
                "head_dim": shape.head_dim,
            },
            "auto": {name: _choice(device, run) for name, run in _EXAMPLES.items()},
            "compiled_decode_step": _compiled(STEP),
            "compiled_parts": _compiled(PARTS),
            "folders": {"runs": _folder(runs_folder()), "data": _folder(data_folder())},
            "versions": {
                "gptkit": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "os": platform.platform(),
            },
        }


def _compiled(source: Source) -> str | bool:
    found = library(source)
    return found if isinstance(found, str) else True


def _choice(device: torch.device, workload: Workload) -> dict[str, Any]:
    chosen, reasons = choose(RuntimeConfig(), device, workload)
    return {
        "n_embd": workload.n_embd,
        "seconds": workload.seconds,
        "dtype": chosen.dtype,
        "compile": chosen.compile,
        "reasons": list(reasons[1:]),  # the first names the device
    }


def _folder(path: Path) -> dict[str, Any]:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    facts: dict[str, Any] = {
        "path": str(path),
        "free_gb": shutil.disk_usage(there).free / 1e9,
        "locks": None,
        "flush_ms": None,
    }
    with (
        suppress(OSError, ConfigError),
        tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as place,
    ):
        start = time.perf_counter()
        write_text(Path(place) / "flushed", "written, flushed, renamed, flushed again\n")
        facts["flush_ms"] = 1000 * (time.perf_counter() - start)
        facts["locks"] = _keeps_a_second_writer_out(Path(place))
    return facts


def _keeps_a_second_writer_out(folder: Path) -> bool:
    with hold_run(folder, warn=lambda text: None):
        try:
            with hold_run(folder, warn=lambda text: None):
                return False
        except RunInUseError:
            return True


def _lines(facts: Mapping[str, Any]) -> Iterator[Line]:
    yield "device", facts["device_name"], "does the computing"
    yield (
        "cores",
        f"{facts['cores']}, {facts['threads']} threads used",
        "of the processor; OMP_NUM_THREADS sets the threads",
    )
    for dtype, meaning in _PRECISIONS.items():
        name = _plain(dtype)
        yield f"products, {name}", _rate(facts["gflops"][name], "GFLOP/s"), meaning
    yield (
        "reading memory",
        _rate(facts["read_gb_per_second"], "GB/s"),
        "each new token reads all weights once: size of the model / this = its time",
    )
    attention = facts["attention"]
    yield (
        f"attention, {attention['dtype']}",
        _rate(attention["gflops"], "GFLOP/s"),
        "forward and backward, causal: "
        + " x ".join(str(attention[key]) for key in ("batch", "heads", "length", "head_dim")),
    )
    for name, choice in facts["auto"].items():
        yield (
            f"auto, {name} run",
            f"{choice['dtype']}, {'compiled' if choice['compile'] else 'not compiled'}",
            f"n_embd {choice['n_embd']}, {choice['seconds'] / 60:.0f} min: "
            + ("; ".join(choice["reasons"]) or "as it is"),
        )
    for name, key, gain in (
        ("parts of models", "compiled_parts", "norms, heads and gates on a CPU: one pass each"),
        ("decode step", "compiled_decode_step", "writes each token of text on a CPU in one call"),
    ):
        compiled = facts[key]
        yield (
            name,
            "compiled" if compiled is True else "not compiled",
            gain if compiled is True else f"on a CPU: {compiled}",
        )
    for name, folder in facts["folders"].items():
        yield (
            f"disk, {name}",
            f"{folder['free_gb']:,.1f} GB free",
            f"{folder['path']}: {_habits(folder)}",
        )
    for name, version in facts["versions"].items():
        yield name, version, ""


def _habits(folder: Mapping[str, Any]) -> str:
    if folder["flush_ms"] is None:
        return "cannot be written to"
    locks = "locks keep a second writer out" if folder["locks"] else "no locks: one run at a time"
    return f"a small file is safe on the disk after {folder['flush_ms']:.1f} ms; {locks}"


def _full_name(device: torch.device) -> str:
    if device.type == "cpu":
        return f"cpu ({platform.machine()}, {torch.backends.cpu.get_cpu_capability()})"
    return device_name(device)


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _giga(rate: float | None) -> float | None:
    return None if rate is None else rate / 1e9


def _rate(value: float | None, unit: str) -> str:
    return "not possible" if value is None else f"{value:,.0f} {unit}"
