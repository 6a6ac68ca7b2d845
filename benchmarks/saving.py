"""What saving costs a run: the time that steps wait for it, and what it takes from the steps beside it.

    python benchmarks/saving.py [--config quickstart] [--steps 600] [--save-every 100]

Trains in a temporary folder and reads metrics.jsonl: a line has the speed of its steps without
pauses, and the time since the start with them; the difference is what they waited.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import torch

LOG_EVERY = 10


def main() -> None:
    """Train, read what the run wrote, print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "training.max_steps": options.steps,
            "training.save_every": options.save_every,
            "training.eval_every": 10 * options.steps,
            "training.log_every": LOG_EVERY,
            "training.save_minutes": "null",
            "training.sample_tokens": 0,
            "schedule": "{name: constant}",
            "runtime.compile": "false",
        }
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        command = [
            sys.executable,
            "-m",
            "gptkit",
            "train",
            options.config,
            "--run-dir",
            "run",
            *sets,
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        lines = (Path(folder) / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
        state = next((Path(folder) / "run/checkpoints").glob("step_*"))
        num_bytes = sum(file.stat().st_size for file in state.iterdir())
    rows = [json.loads(line) for line in lines]
    _report(rows, options.save_every, num_bytes)


def _report(rows: list[dict[str, float]], save_every: int, num_bytes: int) -> None:
    tokens_per_step = rows[0]["tokens"] / rows[0]["step"]
    waited, busy, idle = [], [], []
    # The first lines warm up; the last step's save and evaluation are the end of the run.
    for before, row in list(itertools.pairwise(rows))[2:-1]:
        seconds = LOG_EVERY * tokens_per_step / row["tokens_per_second"]
        if row["step"] % save_every == 0:
            waited.append(row["elapsed_seconds"] - before["elapsed_seconds"] - seconds)
        elif before["step"] % save_every == 0:
            busy.append(seconds)  # what may still be written beside these steps
        else:
            idle.append(seconds)
    step = statistics.median(idle) / LOG_EVERY
    beside = max(0.0, statistics.median(busy) - statistics.median(idle))
    share = (statistics.median(waited) + beside) / (save_every * step)
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n"
    )
    print(
        "| checkpoint | step | steps wait for a save | taken from the steps after it | saves | cost |"
    )
    print("|---|---|---|---|---|---|")
    print(
        f"| {num_bytes / 1e6:.1f} MB | {1e3 * step:.1f} ms | {1e3 * statistics.median(waited):.0f} ms"
        f" (most {1e3 * max(waited):.0f}) | {1e3 * beside:.0f} ms | {len(waited)}"
        f" | {100 * share:.2f} % at every {save_every} steps |"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--save-every", type=int, default=100)
    return parser.parse_args()


if __name__ == "__main__":
    main()
