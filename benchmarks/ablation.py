"""What each part of the recipe in configs/speedrun_char_cpu.yaml is worth: one change at a time.

    python benchmarks/ablation.py --text tinyshakespeare.txt

Every row is trained from three seeds for the steps that it names and scored on the full validation split; its cost
is the time of a step over that of the recipe's own, the two taking turns. Results are kept in --results as they come,
so that a second call goes on where the first one ended, and written as a table to benchmarks/ablation.md.
`--set model.n_layer=4 --set training.max_steps=100 --only depth` measures the parts of the preset in a deeper model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from gptkit.config import RunConfig, find_config, from_mapping, load_config, parse_override
from gptkit.data.batches import EvaluationWindows, TrainingWindows
from gptkit.data.dataset import Dataset
from gptkit.data.prepare import prepare_dataset
from gptkit.model import GPT
from gptkit.runtime import Runtime, RuntimeConfig
from gptkit.runtime.memory import keep_freed_memory
from gptkit.training.evaluate import evaluate
from gptkit.training.loop import Schedule
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS
from gptkit.training.optimizers import scale_learning_rates
from gptkit.training.step import train_step
from gptkit.training.update import Update

Settings = Mapping[str, Any]

# Parts of the preset, and of what else a preset sets: worth asking at any depth.
MODEL: dict[str, Settings] = {
    "no n-grams": {"model.ngram_rows": None},
    "no n-grams, no convolution": {"model.ngram_rows": None, "model.embedding_window": 1},
    "softcap 15": {"model.logit_softcap": 15.0},
    "QK-norm": {"model.attention": {"qk_norm": True}},
    "no QK-norm": {"model.attention": {"qk_norm": False}},
    "embedding and head tied": {"model.tie_embeddings": True},
    "GELU": {"model.mlp": {"name": "gelu"}},
    "ReLU squared": {"model.mlp": {"name": "relu2"}},
    "learned positions": {"model.positions": {"name": "learned"}},
    "attention window 16": {"model.attention.window": 16},
}
# The recipe's own numbers.
RECIPE: dict[str, Settings] = {
    "look back on 3 tokens": {"model.embedding_window": 3},
    "look back on 5 tokens": {"model.embedding_window": 5},
    "2048 rows of n-grams": {"model.ngram_rows": 2048},
    "2 layers": {"model.n_layer": 2, "model.ngram_rows": 3072},
    "4 heads": {"model.n_head": 4},
    "AdamW for all, 0.01": {
        "optimizer": {
            "name": "adamw",
            "learning_rate": 0.01,
            "betas": [0.6, 0.95],
            "weight_decay": 0.0,
        }
    },
    "AdamW's rate a quarter of Muon's": {"optimizer.adamw_learning_rate": None},
    "betas 0.9, 0.98": {"optimizer.betas": [0.9, 0.98]},
    "momentum 0.95": {"optimizer.momentum": 0.95},
    "weight decay 0.1": {"optimizer.weight_decay": 0.1},
    "Newton-Schulz of 5 steps": {"optimizer.ns_steps": 5},
    "Newton-Schulz of 2 steps": {"optimizer.ns_steps": 2},
    "decay over the whole run": {"schedule.decay": 1.0},
    "gradient not clipped": {"training.grad_clip": None},
    "context 32, 48 sequences": {"model.context_length": 32, "training.batch_size": 48},
    "context 48, 32 sequences": {"model.context_length": 48, "training.batch_size": 32},
    "16 sequences, 90 steps": {"training.batch_size": 16, "training.max_steps": 90},
    "32 sequences, 45 steps": {"training.batch_size": 32, "training.max_steps": 45},
}
GROUPS = {"depth": MODEL, "recipe": RECIPE}
_BASE = "as it is"
_WARM_STEPS = 5


def main() -> None:
    """Measure what is not measured yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--config", default="speedrun_char_cpu")
    parser.add_argument("--set", action="append", default=[], help="on top of the config, for all")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--results", type=Path, default=Path("runs/ablation.jsonl"))
    parser.add_argument("--table", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    keep_freed_memory()
    runtime = Runtime(
        torch.device("cpu"), RuntimeConfig(device="cpu", dtype=options.dtype, compile=False)
    )
    bench = Bench(options.config, options.text, options.set, runtime, Results(options.results))
    changes: dict[str, Settings] = {_BASE: {}}
    for group in options.only:
        changes |= GROUPS[group]
    rows = [bench.row(name, change, options.seeds) for name, change in changes.items()]
    table = "\n".join(
        [
            "| change | loss, mean | loss of each seed | time of a step | parameters |",
            "|---|---|---|---|---|",
            *filter(None, rows),
        ]
    )
    heading = f"{options.config} {' '.join(options.set)}, {options.dtype}".strip()
    words = f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(f"{heading}; {words}\n\n{table}\n", encoding="utf-8")


class Results:
    """What was measured, a JSON object a line, by a key that names all that it depends on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._known: dict[str, Any] = dict(json.loads(line) for line in lines)

    def get(self, key: str) -> Any:
        return self._known.get(key)

    def note(self, key: str, value: Any) -> None:
        self._known[key] = value
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, value]) + "\n")


@dataclass
class Bench:
    """The recipe, and changes of it."""

    name: str
    text: Path
    common: Sequence[str]
    runtime: Runtime
    results: Results

    def row(self, name: str, change: Settings, seeds: Sequence[int]) -> str | None:
        """Return a row of the table; None where the change is none."""
        config, base = self._config(change), self._config({})
        if change and config == base:
            return None
        losses = [self._loss(config, seed) for seed in seeds]
        ratio = 1.0 if config == base else self._cost(config, base)
        size = self._trial(config, seeds[0]).model.num_parameters()
        each = ", ".join(f"{loss:.4f}" for loss in losses)
        row = (
            f"| {name} | {statistics.mean(losses):.4f} | {each} | {ratio:.2f} | {size / 1e6:.2f}M |"
        )
        print(row, flush=True)
        return row

    def _config(self, change: Settings) -> RunConfig:
        source = {"data.source": {"name": "text", "paths": [str(self.text)]}}
        common = [parse_override(text) for text in self.common]
        return load_config(
            find_config(self.name), [*from_mapping(source), *common, *from_mapping(change)]
        )

    def _loss(self, config: RunConfig, seed: int) -> float:
        key = self._key("loss", config, seed)
        if self.results.get(key) is None:
            trial = self._trial(config, seed)
            assert config.training.max_steps is not None
            for _ in range(config.training.max_steps):
                trial.step()
            self.results.note(key, trial.full_split_loss())
        return float(self.results.get(key))

    def _cost(self, config: RunConfig, base: RunConfig) -> float:
        """Return the time of a step over that of one of `base`; they take turns, to meet the same noise."""
        key = self._key("cost", config, base)
        if self.results.get(key) is None:
            trials = [self._trial(c, seed=1) for c in (config, base)]
            steps = min(c.training.max_steps or 0 for c in (config, base))
            seconds = [[trial.step() for trial in trials] for _ in range(steps)]
            one, other = (sum(column) for column in zip(*seconds[_WARM_STEPS:], strict=True))
            self.results.note(key, one / other)
        return float(self.results.get(key))

    def _trial(self, config: RunConfig, seed: int) -> Trial:
        return Trial(
            config,
            prepare_dataset(config.data, min_train_tokens=config.model.context_length + 1),
            self.runtime,
            seed,
        )

    def _key(self, kind: str, *parts: object) -> str:
        return (
            f"{kind} {hashlib.sha256(repr((self.runtime.config, parts)).encode()).hexdigest()[:16]}"
        )


class Trial:
    """A model in training, as `gptkit train` would train it, without files."""

    def __init__(self, config: RunConfig, dataset: Dataset, runtime: Runtime, seed: int) -> None:
        self.config, self.runtime, self.seed, self.done = config, runtime, seed, 0
        self.model = GPT(config.model, dataset.tokenizer.vocab_size)
        self.model.init_weights(seed)
        self.objective: nn.Module = NextTokenObjective(self.model).train()
        self.optimizer = OPTIMIZERS.build(config.optimizer, self.model)
        self.update = Update(self.optimizer, grad_clip=config.training.grad_clip, runtime=runtime)
        size, context = config.training.batch_size, config.model.context_length
        self.windows = TrainingWindows(dataset.split("train"), size, context, seed=seed)
        self.val_windows = EvaluationWindows(dataset.split("val"), context)

    def step(self) -> float:
        """Do a step and return its seconds."""
        max_steps = self.config.training.max_steps
        assert max_steps is not None
        batch = self.windows.batch(self.done)
        start = time.perf_counter()
        schedule = cast(Schedule, self.config.schedule)
        scale_learning_rates(self.optimizer, schedule.factor(self.done, max_steps))
        train_step(
            self.objective,
            [batch],
            self.update,
            step=self.done,
            seed=self.seed,
            runtime=self.runtime,
        )
        self.done += 1
        return time.perf_counter() - start

    def full_split_loss(self) -> float:
        evaluation = evaluate(self.model, self.val_windows, self.runtime)
        assert evaluation is not None
        return evaluation.loss


if __name__ == "__main__":
    main()
