"""Peak memory of a training step of GPT-2 124M: python benchmarks/peak_memory.py --nanogpt PATH

Each program and batch has a process of its own, one at a time; its peak is what the system says of
it at the end (ru_maxrss). Results and what follows from them: peak_memory.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VOCAB_SIZE, CONTEXT_LENGTH = 50_257, 1024
PROGRAMS = ("nanoGPT float32", "gptkit float32", "gptkit auto")
# Linux counts in KiB, macOS in bytes.
_UNIT = 1 if platform.system() == "Darwin" else 1024


def main() -> None:
    """Print a table of all programs, or as one of their processes what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT; absent: gptkit alone")
    parser.add_argument("--batches", nargs="+", default=["4x256", "8x512", "4x1024"], metavar="BxT")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--as-child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_child:
        rows, context = map(int, args.batches[0].split("x"))
        print(json.dumps(measure(args.as_child, rows, context, args.steps, args.nanogpt)))
        return
    print(
        "| sequences x context | program | peak MiB | of nanoGPT | before the steps MiB | s/step |"
    )
    print("|---|---|---|---|---|---|")
    for batch in args.batches:
        reference = None
        for program in PROGRAMS[args.nanogpt is None :]:
            found = in_a_process(program, batch, args.steps, args.nanogpt)
            reference = reference or (found["peak"] if args.nanogpt else None)
            share = f"{found['peak'] / reference:.0%}" if reference else ""
            print(
                f"| {batch} | {program} | {found['peak']:.0f} | {share} | {found['before']:.0f}"
                f" | {found['seconds']:.1f} |",
                flush=True,
            )


def in_a_process(program: str, batch: str, steps: int, nanogpt: Path | None) -> dict[str, float]:
    """Measure in a fresh process: memory that was freed once may stay with the one that had it."""
    command = [sys.executable, __file__, "--as-child", program, "--batches", batch]
    command += ["--steps", str(steps)] + (["--nanogpt", str(nanogpt)] if nanogpt else [])
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    numbers: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return numbers


def measure(
    program: str, rows: int, context: int, steps: int, nanogpt: Path | None
) -> dict[str, float]:
    """Return the peak of this process and what it had before its first step, MiB, and s/step."""
    if program.startswith("nanoGPT"):
        assert nanogpt is not None
        step = nanogpt_step(nanogpt)
    else:
        step = gptkit_step(program.removeprefix("gptkit "))
    import torch

    torch.manual_seed(1)
    before, times = peak_mib(), []
    for index in range(steps):
        tokens, targets = torch.randint(VOCAB_SIZE, (2, rows, context))
        start = time.perf_counter()
        step(index, tokens, targets)
        times.append(time.perf_counter() - start)
    return {"peak": peak_mib(), "before": before, "seconds": min(times)}


def peak_mib() -> float:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def gptkit_step(dtype: Any) -> Callable[..., None]:
    """Return a step of gptkit's GPT-2, as `gptkit train` does it."""
    import torch

    from gptkit.data.batches import Batch
    from gptkit.model import GPT, ModelConfig
    from gptkit.runtime import Runtime, RuntimeConfig, Workload
    from gptkit.runtime.choose import choose
    from gptkit.training.objective import NextTokenObjective
    from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
    from gptkit.training.step import train_step
    from gptkit.training.update import Update

    sizes = {"n_layer": 12, "n_head": 12, "n_embd": 768, "context_length": CONTEXT_LENGTH}
    config = ModelConfig(preset="gpt2", **sizes, dropout=0.0)
    device = torch.device("cpu")
    settings, _ = choose(
        RuntimeConfig(device="cpu", dtype=dtype), device, Workload(n_embd=config.n_embd)
    )
    runtime = Runtime(device, settings)
    model = GPT(config, VOCAB_SIZE)
    model.init_weights(1)
    update = Update(OPTIMIZERS.build(AdamWConfig(), model), grad_clip=1.0, runtime=runtime)
    example = torch.zeros((1, 1), dtype=torch.int64)
    replica = runtime.replicate(NextTokenObjective(model), example, warn=print)

    def step(index: int, tokens: Any, targets: Any) -> None:
        batch = Batch(tokens, targets)
        train_step(replica, [batch], update, step=index, seed=1, runtime=runtime)

    return step


def nanogpt_step(checkout: Path) -> Callable[..., None]:
    """Return a step of nanoGPT's GPT-2, in the order of its train.py on a CPU."""
    import torch

    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    model = GPT(GPTConfig(block_size=CONTEXT_LENGTH, vocab_size=VOCAB_SIZE, dropout=0.0, bias=True))
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")

    def step(index: int, tokens: Any, targets: Any) -> None:
        _, loss = model(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
