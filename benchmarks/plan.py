"""What `gptkit plan` says against what `gptkit train` then takes: python benchmarks/plan.py [--one-core] [CASE...]

Each case is planned, then trained in a process of its own, whose peak memory is what the system
says of it at the end (ru_maxrss) and whose time is that of its training loop, the last evaluation
and sample included (the last `elapsed_seconds` of its metrics leaves those out).
Results: plan.md. Run it on a quiet machine: a plan cannot know what else will run. Where there is
none, `--one-core` lets both compute in one thread and counts its processor seconds, which other
programs do not lengthen much.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

_GPT2 = "{preset: gpt2, n_layer: 4, n_head: 4, n_embd: 128, context_length: 64}"
_WIDE = "{n_layer: 6, n_head: 6, n_embd: 384, context_length: 256, dropout: 0.1}"
_DEEP = "{n_layer: 12, n_head: 6, n_embd: 192, context_length: 128, activation_checkpointing: true}"
_SHORT = "log_every: 10, eval_every: 1000, save_every: 1000"
CASES = {
    "quickstart": ("quickstart", ["training={max_steps: 240, batch_size: 24, eval_every: 160}"]),
    "char gpt2 4 x 128": (
        "quickstart",
        [
            "data.tokenizer={name: char}",
            f"model={_GPT2}",
            f"training={{max_steps: 600, batch_size: 12, {_SHORT}}}",
        ],
    ),
    "modern 6 x 384, float32": (
        "quickstart",
        [
            f"model={_WIDE}",
            f"training={{max_steps: 12, batch_size: 16, {_SHORT}}}",
            "runtime.dtype=float32",
        ],
    ),
    "modern 6 x 384, 2 micro-batches": (
        "quickstart",
        [
            f"model={_WIDE}",
            f"training={{max_steps: 12, batch_size: 16, micro_batch_size: 8, {_SHORT}}}",
        ],
    ),
    "12 x 192, recomputed, Muon": (
        "quickstart",
        [
            f"model={_DEEP}",
            "optimizer={name: muon}",
            f"training={{max_steps: 30, batch_size: 32, {_SHORT}}}",
        ],
    ),
    "vocabulary of 16,384": (
        "quickstart",
        [
            "data.tokenizer={name: bpe, vocab_size: 16384}",
            "model={n_layer: 4, n_head: 4, n_embd: 256, context_length: 128}",
            f"training={{max_steps: 30, batch_size: 16, {_SHORT}}}",
        ],
    ),
}
# What a process runs to be `gptkit plan` or `gptkit train`: with this clock, and with the seconds of
# the training loop written to a file.
_TIMED = """\
import sys, time
from gptkit.cli import main
from gptkit.runtime.process import share_the_cores

share_the_cores()  # before torch, which the next line imports
from gptkit.recipes.train import session

clock, path = getattr(time, sys.argv.pop(1)), sys.argv.pop(1)
plain, time.perf_counter = session.run_loop, clock

def timed(*args, **options):
    start = clock()
    found = plain(*args, **options)
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(clock() - start))
    return found

session.run_loop = timed
main()
"""
# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if platform.system() == "Darwin" else 1024


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument(
        "--one-core", action="store_true", help="one thread, and its processor seconds"
    )
    args = parser.parse_args()
    print("| run | memory said | taken | | time said | taken | |\n|---|---|---|---|---|---|---|")
    for name in args.cases or CASES:
        config, settings = CASES[name]
        with tempfile.TemporaryDirectory(prefix="bench-plan-") as folder:
            memory, seconds, took_memory, took_seconds = compare(
                config, settings, Path(folder), one_core=args.one_core
            )
        print(
            f"| {name} | {memory / 1e6:.0f} MB | {took_memory / 1e6:.0f} MB | {memory / took_memory - 1:+.0%}"
            f" | {seconds:.1f} s | {took_seconds:.1f} s | {seconds / took_seconds - 1:+.0%} |",
            flush=True,
        )


def compare(
    config: str, settings: list[str], folder: Path, *, one_core: bool = False
) -> tuple[float, float, float, float]:
    """Return bytes and seconds as planned, then as taken."""
    options = [part for setting in settings for part in ("--set", setting)]
    env = {**os.environ, **({"OMP_NUM_THREADS": "1"} if one_core else {})}
    seconds = folder / "seconds.txt"
    clock = "process_time" if one_core else "perf_counter"
    command = [sys.executable, "-c", _TIMED, clock, str(seconds)]
    subprocess.run(
        [*command, "prepare", config, *options], check=True, stdout=subprocess.DEVNULL, env=env
    )
    planned = subprocess.run(
        [*command, "plan", config, *options, "--json"], check=True, stdout=subprocess.PIPE, env=env
    )
    plan = json.loads(planned.stdout)
    run = [*command, "train", config, *options, "--run-dir", str(folder / "run")]
    child = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"{run} failed"
    return (
        plan["memory"]["total"],
        plan["seconds"],
        usage.ru_maxrss * _UNIT,
        float(seconds.read_text(encoding="utf-8")),
    )


if __name__ == "__main__":
    main()
