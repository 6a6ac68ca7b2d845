"""Each measurement in a process of its own, all programs taking turns to meet the same noise.

scripts --> take_turns --> `python -m common.turns JOB`, one at a time --> Found
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from common.programs import Program, seconds_of_steps
from common.shapes import Shape

_BENCHMARKS = Path(__file__).resolve().parent.parent
# Linux counts in KiB, macOS in bytes.
_RSS_UNIT = 1 if platform.system() == "Darwin" else 1024


@dataclass(frozen=True)
class Job:
    """What one process measures."""

    program: Program
    shape: Shape
    steps: int
    """Steps that count."""
    device: str = "cpu"
    nanogpt: str | None = None
    """A checkout."""
    with_ceiling: bool = False
    """Whether to measure how fast this process multiplies matrices, too."""
    warm_steps: int = 3
    """Steps before them."""


@dataclass(frozen=True)
class Found:
    """What a process found, or the medians of several."""

    seconds: float
    """Of a step."""
    peak_mib: float
    """The most memory that the process ever had: on a CPU all of it, on CUDA torch's tensors."""
    ceiling: float | None
    """FLOP/s of matrix products in the precision of the program."""


def take_turns(jobs: Sequence[Job], rounds: int) -> list[Found]:
    """Return what each job found, in their order, after `rounds` rounds of all.

    Programs that compile share a cache for the time of the call, so that only a first round pays.
    """
    found: list[list[Found]] = [[] for _ in jobs]
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds):
            for job, results in zip(jobs, found, strict=True):
                now = _in_a_process(job, cache)
                results.append(now)
                print(
                    f"round {number + 1}/{rounds}: {job.program}, {job.shape}:"
                    f" {1e3 * now.seconds:.1f} ms, {now.peak_mib:.0f} MiB",
                    file=sys.stderr,
                    flush=True,
                )
    return [_median(results) for results in found]


def _median(results: Sequence[Found]) -> Found:
    ceilings = [result.ceiling for result in results if result.ceiling is not None]
    return Found(
        seconds=statistics.median(result.seconds for result in results),
        peak_mib=statistics.median(result.peak_mib for result in results),
        ceiling=statistics.median(ceilings) if ceilings else None,
    )


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: it finds this package and the gptkit of this tree."""
    paths = [str(_BENCHMARKS), str(_BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **more}


def _in_a_process(job: Job, cache: str) -> Found:
    """Measure in a fresh process: memory that was freed once may stay with the one that had it."""
    done = subprocess.run(
        [sys.executable, "-m", "common.turns", json.dumps(asdict(job))],
        env=child_environment(TORCHINDUCTOR_CACHE_DIR=cache),
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"{job.program}, {job.shape} failed:\n{done.stderr}")
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def _measure(job: Job) -> Found:
    nanogpt = None if job.nanogpt is None else Path(job.nanogpt)
    steps = job.warm_steps + job.steps
    seconds = seconds_of_steps(job.program, job.shape, job.device, steps, nanogpt)
    # Before anything else takes memory.
    peak = _peak_mib(job.device)
    ceiling = _ceiling(job.program, job.shape, job.device) if job.with_ceiling else None
    return Found(statistics.median(seconds[job.warm_steps :]), peak, ceiling)


def _peak_mib(device: str) -> float:
    import torch

    if device == "cuda":
        return float(torch.cuda.max_memory_allocated()) / 2**20
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT / 2**20


def _ceiling(program: Program, shape: Shape, device: str) -> float | None:
    import torch

    from gptkit.runtime import Workload
    from gptkit.runtime.ceilings import matrix_flops
    from gptkit.runtime.choose import choose_dtype

    place = torch.device(device)
    dtype, _ = choose_dtype(program.dtype, place, Workload(n_embd=shape.n_embd))
    ceiling: float | None = matrix_flops(getattr(torch, dtype), place)
    return ceiling


def _main() -> None:
    job = json.loads(sys.argv[1])
    job["program"], job["shape"] = Program(**job["program"]), Shape(**job["shape"])
    print(json.dumps(asdict(_measure(Job(**job)))))


if __name__ == "__main__":
    _main()
