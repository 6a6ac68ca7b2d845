"""Time of a training step on a CPU, float32 and bfloat16 in turn: python benchmarks/cpu_training.py

Results and what follows from them: cpu_training.md. Run it on a quiet machine; the fastest step and
the first quartile are printed, since what else runs can only slow a step down.
"""

from __future__ import annotations

import time

import torch

from gptkit.data.batches import Batch
from gptkit.model import GPT, ModelConfig
from gptkit.runtime import Runtime, RuntimeConfig
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
from gptkit.training.step import train_step
from gptkit.training.update import Update

# preset, layers, channels, sequences, context, vocabulary, steps
CASES = (
    ("gpt2", 4, 64, 16, 128, 65, 60),
    ("modern", 4, 96, 16, 128, 1024, 40),
    ("gpt2", 4, 128, 12, 64, 65, 100),
    ("modern", 4, 128, 12, 64, 65, 100),
    ("modern", 4, 128, 64, 128, 65, 15),
    ("modern", 6, 192, 16, 128, 1024, 15),
    ("modern", 4, 256, 16, 128, 1024, 15),
    ("modern", 6, 384, 16, 256, 65, 5),
)


def main() -> None:
    """Print a line for each case."""
    for preset, n_layer, n_embd, rows, context, vocab, steps in CASES:
        sizes = {"n_layer": n_layer, "n_head": n_embd // 32, "n_embd": n_embd}
        config = ModelConfig(preset=preset, **sizes, context_length=context)
        times = step_times(config, rows, vocab, steps)
        float32, bfloat16 = times["float32"], times["bfloat16"]
        print(
            f"{preset} {n_layer} x {n_embd}, {rows} x {context}, V {vocab}:"
            f" float32 {_words(float32)}, bfloat16 {_words(bfloat16)},"
            f" ratio {min(float32) / min(bfloat16):.2f}",
            flush=True,
        )


def step_times(config: ModelConfig, rows: int, vocab: int, steps: int) -> dict[str, list[float]]:
    """Return the milliseconds of each step by dtype; the two take turns, to meet the same noise."""
    runs = {}
    for dtype in ("float32", "bfloat16"):
        settings = RuntimeConfig(device="cpu", dtype=dtype, compile=False)
        runtime = Runtime(torch.device("cpu"), settings)
        model = GPT(config, vocab)
        model.init_weights(1)
        update = Update(OPTIMIZERS.build(AdamWConfig(), model), grad_clip=1.0, runtime=runtime)
        runs[dtype] = (NextTokenObjective(model), update, runtime)
    times: dict[str, list[float]] = {dtype: [] for dtype in runs}
    for step in range(steps):
        tokens = torch.randint(vocab, (rows, config.context_length))
        for dtype, (objective, update, runtime) in runs.items():
            start = time.perf_counter()
            batches = [Batch(tokens, tokens)]
            train_step(objective, batches, update, step=step, seed=1, runtime=runtime)
            times[dtype].append(1e3 * (time.perf_counter() - start))
    return times


def _words(times: list[float]) -> str:
    return f"{min(times):.1f} ({sorted(times)[len(times) // 4]:.1f}) ms"


if __name__ == "__main__":
    main()
