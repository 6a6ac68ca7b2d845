"""What `gptkit plan` says against what `gptkit train` then takes: python benchmarks/plan.py [CASE...]

Each case is planned, then trained in a process of its own, whose peak memory is what the system
says of it at the end (ru_maxrss) and whose time is that of its training loop, the last evaluation
and sample included (the last `elapsed_seconds` of its metrics leaves those out).
Results: plan.md. Run it on a quiet machine: a plan cannot know what else will run.
"""

from __future__ import annotations

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
# What a process runs to be `gptkit train`, with the seconds of its loop written to a file.
_TIMED = """\
import sys, time
from gptkit.cli import main
from gptkit.runtime.process import share_the_cores

share_the_cores()  # before torch, which the next line imports
from gptkit.recipes.train import session

plain, path = session.run_loop, sys.argv.pop(1)

def timed(*args, **options):
    start = time.monotonic()
    found = plain(*args, **options)
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(time.monotonic() - start))
    return found

session.run_loop = timed
main()
"""
# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if platform.system() == "Darwin" else 1024


def main() -> None:
    """Print a row for each case."""
    chosen = sys.argv[1:] or list(CASES)
    print("| run | memory said | taken | | time said | taken | |\n|---|---|---|---|---|---|---|")
    for name in chosen:
        config, settings = CASES[name]
        with tempfile.TemporaryDirectory(prefix="bench-plan-") as folder:
            memory, seconds, took_memory, took_seconds = compare(config, settings, Path(folder))
        print(
            f"| {name} | {memory / 1e6:.0f} MB | {took_memory / 1e6:.0f} MB | {memory / took_memory - 1:+.0%}"
            f" | {seconds:.1f} s | {took_seconds:.1f} s | {seconds / took_seconds - 1:+.0%} |",
            flush=True,
        )


def compare(config: str, settings: list[str], folder: Path) -> tuple[float, float, float, float]:
    """Return bytes and seconds as planned, then as taken."""
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "gptkit"]
    subprocess.run([*command, "prepare", config, *options], check=True, stdout=subprocess.DEVNULL)
    planned = subprocess.run(
        [*command, "plan", config, *options, "--json"], check=True, stdout=subprocess.PIPE
    )
    plan = json.loads(planned.stdout)
    seconds = folder / "seconds.txt"
    run = [sys.executable, "-c", _TIMED, str(seconds), "train", config, *options]
    run += ["--run-dir", str(folder / "run")]
    child = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
