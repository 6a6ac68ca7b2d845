"""Is the dial's choice a good one? Its neighbours, each for the same time, scored on the full validation split.

    python benchmarks/dial.py --text tinyshakespeare.txt --seconds 40
    python benchmarks/dial.py --seconds 40 --seeds 1 2 3 --set optimizer.learning_rate=0.02

Without --text the quickstart's own text is learned, as BPE-1024. Time is that of the processor, on one thread, so that
a busy machine tells about the same as a quiet one; the schedule follows it. With --set one row is printed: the dial's
choice with those settings. Without, its neighbours follow: half and double depth, batch and rates, and AdamW.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from gptkit.config import Override, RunConfig, from_mapping, load_config, parse_override
from gptkit.config.yaml12 import write_yaml
from gptkit.data.batches import EvaluationWindows, TrainingWindows
from gptkit.data.dataset import Dataset
from gptkit.data.prepare import prepare_dataset
from gptkit.dial import Facts, Speed, choose
from gptkit.model import GPT
from gptkit.model.config import ModelConfig
from gptkit.recipes.train.dialled import trial_speed
from gptkit.runtime import Runtime, RuntimeConfig
from gptkit.runtime.memory import keep_freed_memory
from gptkit.training.evaluate import evaluate
from gptkit.training.loop import Schedule
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS
from gptkit.training.optimizers import scale_learning_rates
from gptkit.training.step import train_step
from gptkit.training.update import Update

_GUESSED_STEPS = 1000.0


def main() -> None:
    """Print a row for the dial's choice, and one for each neighbour."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=Path, help="characters of this file; none: the quickstart's")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--set", action="append", default=[], help="settings of a single row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    settings = RuntimeConfig(device="cpu", dtype=options.dtype, compile=False)
    bench = Bench(options.text, options.seconds, Runtime(torch.device("cpu"), settings))
    given = [parse_override(text) for text in options.set]
    rows = {"as chosen": given} if given else bench.neighbours()
    print("| change | loss, mean | loss of each seed | steps | tokens | epochs | weights |")
    print("|---|---|---|---|---|---|---|")
    for name, changes in rows.items():
        print(bench.row(name, changes, options.seeds), flush=True)


@dataclass(frozen=True)
class Bench:
    """A text and a time."""

    text: Path | None
    seconds: float
    runtime: Runtime

    def neighbours(self) -> dict[str, list[Override]]:
        """Return the choice and what differs from it in one thing."""
        config = self._choose([])[0]
        depth, batch = config.model.depth, config.training.batch_size
        assert depth is not None
        changes: dict[str, Mapping[str, Any]] = {
            "as chosen": {},
            "a block less": {"model.depth": max(1, depth - 1)},
            "a block more": {"model.depth": depth + 1},
            "half the batch": {"training.batch_size": max(1, batch // 2)},
            "double batch": {"training.batch_size": 2 * batch},
            "AdamW": {"optimizer": {"name": "adamw"}},
        }
        if config.optimizer.model_dump()["name"] == "muon":
            rate = config.optimizer.model_dump()["learning_rate"]
            for factor in (0.5, 2.0):
                muon = {"name": "muon", "learning_rate": factor * rate}
                changes[f"rates x {factor:g}"] = {"optimizer": muon}
            changes["momentum 0.95"] = {"optimizer": {"name": "muon", "momentum": 0.95}}
        return {name: from_mapping(change) for name, change in changes.items()}

    def row(self, name: str, changes: Sequence[Override], seeds: Sequence[int]) -> str:
        """Return a row of the table."""
        config, dataset = self._choose(changes)
        found = [self._train(config, dataset, seed) for seed in seeds]
        losses = [loss for loss, _, _ in found]
        _, steps, weights = found[0]
        tokens = steps * config.training.batch_size * config.model.context_length
        each = ", ".join(f"{loss:.4f}" for loss in losses)
        epochs = tokens / dataset.manifest.splits["train"].tokens
        return (
            f"| {name} | {statistics.mean(losses):.4f} | {each} | {steps} | {tokens / 1e6:.2f}M"
            f" | {epochs:.1f} | {weights / 1e6:.2f}M |"
        )

    def _choose(self, changes: Sequence[Override]) -> tuple[RunConfig, Dataset]:
        """Return the dial's choice beside `changes`, and the tokens."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "dial.yaml"
            path.write_text(write_yaml({"data": self._data()}), encoding="utf-8")
            config = load_config(
                path, [Override(("training", "time_budget"), self.seconds), *changes]
            )
        dataset = prepare_dataset(config.data)
        splits, vocab_size = dataset.manifest.splits, dataset.tokenizer.vocab_size
        facts = Facts(
            vocab_size=vocab_size,
            train_tokens=splits["train"].tokens,
            val_tokens=splits["val"].tokens,
            speed=lambda model: self._speed(model, vocab_size),
        )
        return choose(config, facts).config, dataset

    def _speed(self, model: ModelConfig, vocab_size: int) -> Speed:
        """Return how fast a model is trained, by the processor's time."""
        wall, own = time.perf_counter(), time.process_time()
        speed = trial_speed(model, vocab_size, self.runtime)
        share = (time.process_time() - own) / (time.perf_counter() - wall)
        return Speed(speed.tokens_per_second / share, speed.step_seconds * share)

    def _data(self) -> dict[str, Any]:
        if self.text is None:
            source: dict[str, Any] = {"name": "python_stdlib"}
            tokenizer: dict[str, Any] = {"name": "bpe", "vocab_size": 1024}
        else:
            source = {"name": "text", "paths": [str(self.text)]}
            tokenizer = {"name": "char"}
        return {"source": source, "tokenizer": tokenizer}

    def _train(self, config: RunConfig, dataset: Dataset, seed: int) -> tuple[float, int, int]:
        """Return the loss at the end of the time, the steps done, and the number of weights."""
        training, context = config.training, config.model.context_length
        model = GPT(config.model, dataset.tokenizer.vocab_size)
        model.init_weights(seed)
        objective = NextTokenObjective(model).train()
        optimizer = OPTIMIZERS.build(config.optimizer, model)
        update = Update(optimizer, grad_clip=training.grad_clip, runtime=self.runtime)
        windows = TrainingWindows(dataset.split("train"), training.batch_size, context, seed=seed)
        schedule = cast(Schedule, config.schedule)
        used, step = 0.0, 0
        while used < self.seconds:
            start = time.process_time()
            coming = step / (used / self.seconds) if step else _GUESSED_STEPS
            scale_learning_rates(optimizer, schedule.factor(step, coming))
            batch = windows.batch(step)
            train_step(objective, [batch], update, step=step, seed=seed, runtime=self.runtime)
            step += 1
            used += time.process_time() - start
        evaluation = evaluate(model, EvaluationWindows(dataset.split("val"), context), self.runtime)
        assert evaluation is not None
        return evaluation.loss, step, model.num_parameters()


if __name__ == "__main__":
    main()
