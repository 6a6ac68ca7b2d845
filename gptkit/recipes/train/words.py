"""What a training run says at its beginning and at its end."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.loggers.console import duration
from gptkit.loggers.curve import draw_curve, prints_unicode
from gptkit.loggers.metrics import METRICS_NAME, read_metrics, series
from gptkit.recipes.train.parts import Parts
from gptkit.training.loop import Outcome


def opening_words(
    config: RunConfig, dataset: Dataset, parts: Parts, run_dir: Path, changed: list[str]
) -> str:
    """Return what will be trained, on what, for how long, and what changed since the last start."""
    splits = dataset.manifest.splits
    held_out = "".join(
        f", {splits[name].tokens:,} {name}" for name in ("val", "test") if splits[name].tokens
    )
    batch, length = config.training.batch_size, config.model.context_length
    lines = [
        f"data     {splits['train'].tokens:,} tokens train{held_out};"
        f" vocabulary {dataset.tokenizer.vocab_size:,}; in {dataset.folder}",
        f"model    {_millions(parts.model.num_parameters())} parameters{_learning(parts)},"
        f" {parts.model.flops_per_token() / 1e6:,.1f} MFLOP per token",
        f"run      {run_dir}: {_length(parts, batch)} of {batch} x {length} tokens",
    ]
    lines += [f"note     {note}" for note in parts.batches.notes]
    if parts.progress.step:
        lines.append(f"resumed  at step {parts.progress.step:,}")
        lines += [f"changed  {change}" for change in changed]
    return "\n".join(lines)


def system_words() -> str:
    """Return what the run was made on, without the name of the machine: reports are passed around."""
    return (
        f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}"
    )


def last_words(
    run_dir: Path, outcome: Outcome, again: str | None, *, plugins: bool, is_chat: bool
) -> str:
    """Return how the run went: why it ended, the curve, the best loss, and what to type next."""
    rows = read_metrics(run_dir / METRICS_NAME)
    curves = {"train loss": series(rows, "train_loss"), "val loss": series(rows, "val_loss")}
    progress = outcome.progress
    lines = [
        f"\n{outcome.reason}: {progress.step:,} steps, {progress.tokens:,} tokens, {_time(rows)}"
    ]
    if len(curves["train loss"]) > 1:
        lines += ["", draw_curve(curves, unicode=prints_unicode(sys.stderr)), ""]
    if progress.best_val_loss is not None:
        row = next((row for row in rows if row["step"] == progress.best_step), {})
        bits = row.get("val_bits_per_byte")
        in_bits = f" ({bits:.4f} bits/byte)" if bits is not None else ""
        lines.append(
            f"best validation loss {progress.best_val_loss:.4f}{in_bits} at step {progress.best_step:,}"
        )
    if outcome.signal_number is None:
        lines.append(_next_words(run_dir, again, progress.step, plugins, is_chat))
    return "\n".join(lines)


def complete_words(
    run_dir: Path, parts: Parts, again: str | None, *, plugins: bool, is_chat: bool
) -> str:
    """Return that there is nothing left to do."""
    step = parts.progress.step
    return f"{run_dir} is complete: {step:,} steps are done\n{_next_words(run_dir, again, step, plugins, is_chat)}"


def _next_words(run_dir: Path, again: str | None, step: int, plugins: bool, is_chat: bool) -> str:
    allow = " --allow-plugins" if plugins else ""
    # The run's own config has every setting of the command line in it.
    config = again or f"{run_dir / 'config.yaml'} --resume {run_dir}"
    return "\n".join(
        (
            "next:",
            f"  gptkit {'chat' if is_chat else 'sample'} --temperature 0.8{allow}",
            f"  gptkit eval{allow}",
            f"  gptkit train {config} --extend-to {2 * step}",
        )
    )


def _learning(parts: Parts) -> str:
    learning = sum(p.numel() for p in parts.model.parameters() if p.requires_grad)
    if learning == parts.model.num_parameters():
        return ""
    return f", of which {learning:,} learn"


def _length(parts: Parts, batch_size: int) -> str:
    limits = parts.limits
    words = "steps"
    if limits.max_steps is not None:
        epochs = limits.max_steps * batch_size / parts.batches.training.num_windows
        words = f"{limits.max_steps:,} steps ({epochs:.1f} epochs)"
    if limits.time_budget is None:
        return words
    at_most = f"at most {words}" if limits.max_steps is not None else words
    return f"{duration(limits.time_budget)}, {at_most}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}M" if count < 1e8 else f"{count / 1e6:,.0f}M"


def _time(rows: list[dict[str, float | int | None]]) -> str:
    return duration(float((rows[-1].get("elapsed_seconds") if rows else 0) or 0))
