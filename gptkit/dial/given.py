"""Which settings the dial chooses: those that nobody gave. Explicit keys always win."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from gptkit.config import RunConfig
from gptkit.section import Section
from gptkit.training.optimizer_config import AdamWConfig, MuonConfig

SHAPE = ("depth", "n_layer", "n_head", "n_embd")
_OPTIMIZER_KEYS = (
    "learning_rate",
    "adamw_learning_rate",
    "weight_decay",
    "momentum",
    "ns_coefficients",
    "ns_steps",
)
_LIMITS = ("max_steps", "max_tokens", "max_epochs", "time_budget")


def is_on(config: RunConfig) -> bool:
    """Whether the config turns the dial: by `model.depth` or `training.time_budget`."""
    return config.model.depth is not None or config.training.time_budget is not None


def open_keys(config: RunConfig) -> frozenset[str]:
    """Return the dotted keys that are chosen when the run starts; "optimizer" stands for all of it."""
    if not is_on(config):
        return frozenset()
    model, training = config.model, config.training
    found = {f"training.{key}" for key in _not_given(training, ("eval_every", "save_every"))}
    found |= {f"training.{key}" for key in _not_given(training, ("batch_size",))}
    limits = {key for key in _LIMITS if key in training.model_fields_set and getattr(training, key)}
    if not limits:
        found.add("training.max_steps")
    if limits == {"time_budget"}:
        found |= {f"training.{key}" for key in _not_given(training, ("max_epochs",))}
    found |= {f"model.{key}" for key in _not_given(model, ("dropout",))}
    if len(_not_given(model, SHAPE)) == len(SHAPE) and model.init_from is None:
        found |= {f"model.{key}" for key in (*SHAPE, *_not_given(model, ("context_length",)))}
    if "optimizer" not in config.model_fields_set:
        found.add("optimizer")
    elif isinstance(config.optimizer, AdamWConfig | MuonConfig):
        there = [key for key in _OPTIMIZER_KEYS if key in type(config.optimizer).model_fields]
        found |= {f"optimizer.{key}" for key in _not_given(config.optimizer, there)}
    return frozenset(found)


def with_values(config: RunConfig, values: dict[str, Any]) -> RunConfig:
    """Return `config` with the values of dotted keys, section.key or section, on top."""
    sections: dict[str, Section] = {}
    for dotted, value in values.items():
        name, _, key = dotted.partition(".")
        section = sections.get(name, getattr(config, name))
        sections[name] = section.model_copy(update={key: value}) if key else value
    return config.model_copy(update=sections)


def keep_choices(config: RunConfig, before: RunConfig) -> RunConfig:
    """Return `config` with what the dial chose for the run that is resumed, whose settings are `before`."""
    kept = {dotted: value_at(before, dotted) for dotted in open_keys(config)}
    same_optimizer = type(before.optimizer) is type(config.optimizer)
    return with_values(
        config,
        {
            dotted: value
            for dotted, value in kept.items()
            if same_optimizer or not dotted.startswith("optimizer.")
        },
    )


def value_at(config: RunConfig, dotted: str) -> Any:
    """Return the value of a dotted key; None where the section has no such key."""
    value: Any = config
    for key in dotted.split("."):
        value = getattr(value, key, None)
    return value


def _not_given(section: Section, keys: Set[str] | tuple[str, ...] | list[str]) -> list[str]:
    return [key for key in keys if key not in section.model_fields_set]
