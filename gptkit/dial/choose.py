"""From what is known of data and machine to a config in which nothing is open.

depth or time ─> shape ─> tokens ─> batch ─> optimizer, regularisation, steps
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptkit.config import RunConfig
from gptkit.dial import formulas
from gptkit.dial.given import SHAPE, open_keys, with_values
from gptkit.model.config import ModelConfig
from gptkit.model.depth import shape_at
from gptkit.section import Section
from gptkit.training.optimizer_config import AdamWConfig, MuonConfig

_MAX_DEPTH = 64
# Of a time budget, what evaluating and saving leave for training.
_TRAINING_SHARE = 0.9
# Evaluations, each with a sample, may take this share of a time budget; and a sample takes about
# so many seconds.
_EVALUATION_SHARE = 0.05
_SAMPLE_SECONDS = 1.0
_MAX_EVALUATIONS = 5


@dataclass(frozen=True)
class Speed:
    """How fast all devices together train a model."""

    tokens_per_second: float
    """Forward and backward passes alone."""
    step_seconds: float = 0.0
    """What an optimizer step takes, however many tokens it learns from."""


@dataclass(frozen=True)
class Facts:
    """What the choices depend on beside the config."""

    vocab_size: int
    train_tokens: int
    val_tokens: int = 0
    devices: int = 1
    speed: Callable[[ModelConfig], Speed] | None = None
    """That of a model of these settings; asked under a time budget only."""


@dataclass(frozen=True)
class Choice:
    """A config with nothing open, and why it is as it is."""

    config: RunConfig
    reasons: tuple[str, ...] = ()
    """Lines for the user; none where every key was given."""


def choose(config: RunConfig, facts: Facts) -> Choice:
    """Return `config` with all that its dial chooses filled in, and the reasons."""
    keys = open_keys(config)
    if not keys:
        return Choice(config)
    reasons = []
    for stage in (_shape, _batch, _length, _optimizer, _regularisation):
        wanted, why = stage(config, facts, keys)
        values = {key: value for key, value in wanted.items() if key in keys}
        if values:
            config, keys = with_values(config, values), keys - values.keys()
            reasons.append(f"{_shown(values)}: {why}")
    return Choice(config, tuple(reasons))


Stage = tuple[Mapping[str, Any], str]


def _shape(config: RunConfig, facts: Facts, keys: frozenset[str]) -> Stage:
    """Under a time budget alone: the model for which its time is nearest to right."""
    if "model.n_layer" not in keys:
        return {}, ""
    most = formulas.MAX_EPOCHS * facts.train_tokens
    chosen, tokens, distance = config, 0.0, math.inf
    for depth in range(1, _MAX_DEPTH + 1):
        larger = _at_depth(config, depth, facts, keys)
        in_time = _tokens_in_time(larger, facts, keys)
        wanted = formulas.tokens_to_learn_from(_weights(larger.model, facts))
        farther = abs(math.log(in_time / wanted)) > distance
        if depth > 1 and (farther or most < wanted):
            break
        chosen, tokens, distance = larger, min(in_time, most), abs(math.log(in_time / wanted))
    model, weights = chosen.model, _weights(chosen.model, facts)
    values = {f"model.{key}": getattr(model, key) for key in (*SHAPE, "context_length")}
    assert config.training.time_budget is not None
    return values, (
        f"{_duration(config.training.time_budget)} here are about {_count(tokens)} tokens,"
        f" {tokens / weights:.1f} for each of its {_count(weights)} weights;"
        f" a larger model would see too few"
    )


def _batch(config: RunConfig, facts: Facts, keys: frozenset[str]) -> Stage:
    """Sequences of a step: a power of two, in micro-batches of all devices."""
    tokens, context = _tokens(config, facts, keys), config.model.context_length
    wanted = formulas.batch_tokens(tokens)
    unit = facts.devices * (config.training.micro_batch_size or 1)
    sequences = 2.0 ** round(math.log2(max(1.0, wanted / context)))
    size = unit * max(1, round(sequences / unit))
    return {"training.batch_size": size}, (
        f"{size * context:,} tokens a step are right for a run over {_count(tokens)}"
    )


def _length(config: RunConfig, facts: Facts, keys: frozenset[str]) -> Stage:
    """When the run ends, where nothing else says so, and how often it is evaluated."""
    tokens = _tokens(config, facts, keys)
    steps = _steps(config, tokens)
    evaluations = float(_MAX_EVALUATIONS)
    if config.training.time_budget is not None:
        seconds = config.training.time_budget
        # Scoring costs a third of training.
        each = _SAMPLE_SECONDS + facts.val_tokens / 3 / max(1.0, tokens / seconds)
        evaluations = min(evaluations, _EVALUATION_SHARE * seconds / each)
    every = math.ceil(steps / max(1, int(evaluations)))
    if evaluations < 1:
        every = 2 * steps  # the end is evaluated in any case
    values: dict[str, Any] = {}
    if tokens >= formulas.MAX_EPOCHS * facts.train_tokens:
        values["training.max_epochs"] = formulas.MAX_EPOCHS
    values |= {
        "training.max_steps": steps,
        "training.eval_every": every,
        "training.save_every": every,
    }
    per_weight = tokens / _weights(config.model, facts)
    return values, (
        f"{_count(tokens)} tokens, {per_weight:.1f} for each weight,"
        f" {tokens / facts.train_tokens:.1f} epochs"
    )


def _optimizer(config: RunConfig, facts: Facts, keys: frozenset[str]) -> Stage:
    """Muon where a step has tokens enough for its matrix products, else AdamW; and their rates."""
    n_embd = config.model.n_embd
    batch = config.training.batch_size * config.model.context_length
    overhead = formulas.muon_overhead(n_embd, batch)
    section = config.optimizer
    if "optimizer" in keys:
        section = MuonConfig() if formulas.pays_muon(n_embd, batch) else AdamWConfig()
    tokens = _tokens(config, facts, keys)
    epochs, weights = tokens / facts.train_tokens, _weights(config.model, facts)
    _, decay = formulas.regularisation(epochs, weights, facts.train_tokens)
    chosen: dict[str, Any] = {"weight_decay": decay}
    if isinstance(section, MuonConfig):
        steps = _steps(config, tokens)
        rate = formulas.muon_rate(steps)
        if "optimizer.learning_rate" not in keys and "optimizer" not in keys:
            rate = section.learning_rate
        chosen |= {"learning_rate": rate, "momentum": formulas.momentum(steps)}
        chosen |= {"adamw_learning_rate": round(formulas.MUON_ADAMW_SHARE * rate, 6)}
        chosen |= {"ns_coefficients": "polar_express", "ns_steps": formulas.NS_STEPS}
        why = f"orthogonalising adds {overhead:.0%} to a step of this batch and width"
    else:  # the keys of any other optimizer are its own
        chosen |= {"learning_rate": formulas.adamw_rate(n_embd)}
        why = f"Muon would add {overhead:.0%} to a step of this batch and width"
    if "optimizer" in keys:
        return {"optimizer": section.model_copy(update=chosen)}, why
    return {f"optimizer.{key}": value for key, value in chosen.items()}, f"for {n_embd} channels"


def _regularisation(config: RunConfig, facts: Facts, keys: frozenset[str]) -> Stage:
    """Dropout where the text is read so often that it could be learned by heart."""
    epochs = _tokens(config, facts, keys) / facts.train_tokens
    weights = _weights(config.model, facts)
    each = _count(weights / facts.train_tokens)
    why = (
        f"the text is read {epochs:.1f} times, and there are {each} weights for each of its tokens"
    )
    dropout, _ = formulas.regularisation(epochs, weights, facts.train_tokens)
    return {"model.dropout": dropout}, why


def _at_depth(config: RunConfig, depth: int, facts: Facts, keys: frozenset[str]) -> RunConfig:
    """Return the config with the shape of a depth, as far as it is open."""
    given = config.model.model_dump(include={"attention"})
    shape = {"depth": depth, **shape_at(depth, given)}
    shape["context_length"] = min(shape["context_length"], max(1, facts.train_tokens - 1))
    values = {f"model.{key}": value for key, value in shape.items() if f"model.{key}" in keys}
    return with_values(config, values)


def _tokens(config: RunConfig, facts: Facts, keys: frozenset[str]) -> float:
    """Return how many tokens the run will learn from, as far as limits and clock tell.

    A limit in steps tells only once the batch is known.
    """
    training = config.training
    limits: list[float] = []
    if training.max_steps is not None and not keys & {"training.max_steps", "training.batch_size"}:
        limits.append(training.max_steps * training.batch_size * config.model.context_length)
    if training.time_budget is not None:
        limits.append(_tokens_in_time(config, facts, keys))
    if training.max_tokens is not None:
        limits.append(training.max_tokens)
    if training.max_epochs is not None:
        limits.append(training.max_epochs * facts.train_tokens)
    if not limits:
        limits.append(formulas.tokens_to_learn_from(_weights(config.model, facts)))
    if keys & {"training.max_epochs", "training.max_steps"}:
        limits.append(formulas.MAX_EPOCHS * facts.train_tokens)
    return min(limits)


def _tokens_in_time(config: RunConfig, facts: Facts, keys: frozenset[str]) -> float:
    """Return the tokens that the time budget is enough for."""
    assert config.training.time_budget is not None and facts.speed is not None
    seconds = _TRAINING_SHARE * config.training.time_budget
    speed = facts.speed(config.model)
    most = max(1.0, seconds * speed.tokens_per_second)
    batch = float(config.training.batch_size * config.model.context_length)
    if "training.batch_size" in keys:
        batch = formulas.batch_tokens(most)
    return max(1.0, seconds / (seconds / most + speed.step_seconds / batch))


def _weights(model: ModelConfig, facts: Facts) -> int:
    return formulas.num_weights(model.n_layer, model.n_embd, facts.vocab_size)


def _steps(config: RunConfig, tokens: float) -> int:
    return max(1, round(tokens / (config.training.batch_size * config.model.context_length)))


def _count(number: float) -> str:
    """Return a number of tokens or weights in words: 3.1M, 12, 0.4."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _shown(values: Mapping[str, Any]) -> str:
    """Return settings on one line: n_embd 192, n_head 3."""
    parts = []
    for dotted, value in values.items():
        key = dotted.rpartition(".")[2]
        if isinstance(value, Section):
            inner = {
                k: getattr(value, k)
                for k in type(value).model_fields
                if k in value.model_fields_set - {"name"}
            }
            parts.append(
                f"{key} {value.model_dump()['name']}" + (f" ({_shown(inner)})" if inner else "")
            )
        else:
            parts.append(f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
