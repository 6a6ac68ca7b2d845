"""gptkit plan: the plan of a config as lines, or as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from gptkit.config import Override, find_config, parse_override
from gptkit.loggers.console import duration
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.plan.facts import Plan
from gptkit.recipes.plan.plan import make_plan
from gptkit.recipes.train.check import check
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.runtime.interrupt import Interrupt


def run(name: str, settings: Sequence[str], *, time: str | None, as_json: bool) -> None:
    """Print what a run of this config will be: size, memory, time, loss, and what could be better.

    time: such as 30m: what is best in that time; keys that the config gives are kept.

    Raises: GptkitError.
    """
    overrides = [parse_override(text) for text in settings]
    if time is not None:
        overrides += [
            Override(("training", "time_budget"), time),
            Override(("training", "max_steps"), None),
        ]
    config = load_whole_config(find_config(name), overrides)
    check(config)
    with Interrupt() as interrupt, interrupt.at_once():
        plan = make_plan(config, progress=TerminalProgress(interrupt), note=say)
    if as_json:
        print(json.dumps(_facts(plan), ensure_ascii=False))
        return
    print("\n".join(_lines(plan)))
    if time is not None:
        sets = [*settings, f"training.time_budget={time}", "training.max_steps=null"]
        print(f"train      gptkit train {shlex.join([name, *_options(sets)])}")


def _options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _facts(plan: Plan) -> dict[str, Any]:
    facts = asdict(plan)
    facts["total_parameters"], facts["tokens"] = plan.total_parameters, plan.tokens
    facts["memory"] = {
        **asdict(plan.memory.run),
        "process": plan.memory.process,
        "total": plan.memory.total,
        "measured": plan.memory.measured,
        "device": plan.memory.device,
    }
    return facts


def _lines(plan: Plan) -> Iterator[str]:
    parts = ", ".join(f"{name} {_short(count)}" for name, count in plan.parameters.items())
    yield f"model      {_short(plan.total_parameters)} parameters: {parts}"
    yield f"work       {plan.flops_per_token / 1e6:,.1f} MFLOP per token, forward and backward"
    yield from _memory(plan)
    yield (
        f"data       {plan.train_tokens:,} tokens train, {plan.val_tokens:,} val;"
        f" vocabulary {plan.vocab_size:,}"
    )
    if plan.steps is not None and plan.tokens is not None:
        yield (
            f"run        {plan.steps:,} steps of {plan.tokens_per_step:,} tokens:"
            f" {_short(plan.tokens)} tokens, {plan.epochs:.1f} epochs,"
            f" {plan.tokens / plan.total_parameters:.1f} tokens per parameter"
        )
    if plan.seconds is not None and plan.step_seconds is not None:
        mfu = "" if plan.mfu is None else f" ({plan.mfu:.0%} of what this device can multiply)"
        yield (
            f"time       {duration(plan.seconds)}: {1000 * plan.step_seconds:,.1f} ms a step,"
            f" {plan.tokens_per_second:,.0f} tokens/s{mfu};"
            f" {duration(plan.evaluation_seconds or 0)} of it evaluations and samples"
        )
    if plan.loss is not None:
        yield (
            f"loss       {plan.loss.low:.2f} to {plan.loss.high:.2f} nats per token, roughly;"
            f" counting alone gets {plan.loss.ngram:.2f}"
        )
    for choice in plan.chosen:
        yield f"chosen     {choice}"
    yield f"export     {plan.export or plan.export_problem}"
    yield f"machine    {'; '.join(plan.reasons)}"
    for warning in plan.warnings:
        yield f"better     {warning}"


def _memory(plan: Plan) -> Iterator[str]:
    memory, run = plan.memory, plan.memory.run
    there = "" if memory.device is None else f" of {_size(memory.device)}"
    how = "as tried, of this" if memory.measured is not None else "by arithmetic, of this"
    yield f"memory     {_size(memory.total)} at the peak{there}; {how}"
    rows = {
        "weights": run.weights,
        "gradients": run.gradients,
        "optimizer": run.optimizer,
        "activations": run.activations,
        "logits": run.logits,
        "checkpoint being written": run.checkpoint,
        "Python, torch and the text": memory.process,
    }
    for name, size in rows.items():
        if size:
            yield f"             {_size(size):>9}  {name}"


def _size(num_bytes: int) -> str:
    if num_bytes < 1e9:
        return f"{num_bytes / 1e6:,.1f} MB"
    return f"{num_bytes / 1e9:,.2f} GB"


def _short(count: int) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count}"
