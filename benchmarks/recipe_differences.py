"""Does `gptkit compare` find differences between recipes where there are some, and none where there are none?

    python benchmarks/recipe_differences.py --runs FOLDER

Trains a small model many times (a run takes seconds; runs that are there already are kept) and compares arms of three
seeds: the recipe with itself, with a learning rate that is a third, with a width that is 5 % smaller; then arms of all
seeds that were planted. Writes benchmarks/recipe_differences.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import inspect
import io
import platform
import textwrap
from dataclasses import replace
from pathlib import Path
from random import Random

import torch

import gptkit
from gptkit.recipes.compare.compare import compare
from gptkit.recipes.compare.scores import Member, score

HERE = Path(__file__).resolve().parent
Line = tuple[str, float, float, str | None]
"""Name of a trial, difference, margin, winner."""
SEEDS = 3
TRIALS = 20
RUNS_OF_ITSELF = 48  # a shuffle of them makes eight trials without a common run
TEXT_MODULES = (argparse, textwrap, ast, difflib)
CONFIG = """\
data:
  source: {name: text, paths: [text.txt]}
  tokenizer: {name: char}
model: {n_layer: 1, n_head: 2, n_embd: 20, context_length: 32, attention: {head_dim: 8}}
optimizer: {learning_rate: 6e-3}
training:
  {max_steps: 150, batch_size: 16, log_every: 100, eval_every: 150, save_every: 150, sample_tokens: 0, preflight: false}
runtime: {device: cpu, dtype: float32, compile: false}
"""
PLANTED: tuple[tuple[str, dict[str, object], int], ...] = (
    ("a third of the learning rate", {"optimizer.learning_rate": 2e-3}, 6),
    ("5 % narrower", {"model.n_embd": 19}, 24),
)
"""Name, change, number of seeds."""


def main() -> None:
    """Train, compare, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    folder = parser.parse_args().runs
    torch.set_num_threads(1)  # threads would wait for each other: the model is too small to share
    prepare(folder)
    seeds = list(range(1, RUNS_OF_ITSELF + 1))
    base = {seed: member(folder, seed, {}) for seed in seeds}
    lines: list[Line] = []
    random = Random(1)
    while len(lines) < TRIALS:
        random.shuffle(seeds)
        for first in range(0, RUNS_OF_ITSELF, 2 * SEEDS):
            ours, theirs = seeds[first : first + SEEDS], seeds[first + SEEDS : first + 2 * SEEDS]
            if len(lines) < TRIALS:
                lines.append(
                    trial("itself", [base[s] for s in ours], [relabelled(base[s]) for s in theirs])
                )
    as_they_are = list(base.values())
    for name, change, count in PLANTED:
        planted = [member(folder, 100 + number, change) for number in range(1, count + 1)]
        for first in range(0, count, SEEDS):
            group = slice(first, first + SEEDS)
            lines.append(trial(name, as_they_are[group], planted[group]))
        lines.append(trial(f"{name}, {count} seeds", as_they_are[:count], planted))
    write_table(lines)


def prepare(folder: Path) -> None:
    """Write config and text: modules that every Python has."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(inspect.getsource(module) for module in TEXT_MODULES)
    (folder / "text.txt").write_text(text, encoding="utf-8")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")


def trial(name: str, first: list[Member], second: list[Member]) -> Line:
    """Return what compare finds between two arms."""
    finding = compare([*first, *second]).findings[0]
    interval = finding.interval
    print(f"{name}: {interval.difference:+.4f} +- {interval.margin:.4f}", flush=True)
    return name, interval.difference, interval.margin, finding.winner


def relabelled(run: Member) -> Member:
    """Return a run as if it logged more often: a second recipe to compare, though it learned the same."""
    training = dict(run.settings["training"], log_every=40)  # type: ignore[call-overload]
    return replace(run, settings={**run.settings, "training": training})


def member(folder: Path, seed: int, change: dict[str, object]) -> Member:
    """Return a run of the recipe, trained unless it is there."""
    suffix = "".join(f"-{key.rpartition('.')[2]}{value}" for key, value in change.items())
    run_dir = folder / f"seed{seed}{suffix}"
    if not (run_dir / "checkpoints/best").exists():
        paths = [str(folder / "text.txt")]
        settings = {
            "training.seed": seed,
            "run_dir": str(run_dir),
            "data.source.paths": paths,
            **change,
        }
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            gptkit.train(folder / "config.yaml", set=settings)
    return score(run_dir.name, gptkit.load(run_dir, dtype="float32"))


def write_table(lines: list[Line]) -> None:
    """Write how often a difference was found, and the intervals."""
    names = list(dict.fromkeys(name for name, *_ in lines))
    text = [
        "# Differences between recipes, found and not found",
        "",
        f"`python benchmarks/recipe_differences.py --runs FOLDER` on {platform.machine()} (CPU);",
        f"{SEEDS} seeds on each side but where it says so. The {TRIALS} trials of the recipe with itself are",
        f"drawn from {RUNS_OF_ITSELF} runs, none twice in a trial. Nats per token, second arm less first.",
        "The line with all its seeds says what a change is worth: the mean difference, give or take the margin.",
        "",
        "| the second arm is | trials | a difference was found | mean difference | mean margin |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        rows = [line for line in lines if line[0] == name]
        found = sum(winner is not None for *_, winner in rows)
        difference = sum(line[1] for line in rows) / len(rows)
        margin = sum(line[2] for line in rows) / len(rows)
        text.append(f"| {name} | {len(rows)} | {found} | {difference:+.4f} | {margin:.4f} |")
    (HERE / "recipe_differences.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
