"""What `model.init_from` brings along: the shape of the other model and its tokenizer.

    model: {init_from: runs/gpt2}        a config that says nothing else about the model's shape
    -> model: {n_layer: 12, ...}, data: {tokenizer: {name: file, path: runs/gpt2/.../tokenizer.json}}

What a config says itself stands; the weights then have to fit. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptkit.checkpoint.names import CONFIG_NAME, TOKENIZER_NAME
from gptkit.config import Override, RunConfig, load_config
from gptkit.config.yaml12 import read_yaml
from gptkit.errors import CheckpointError
from gptkit.model.config import ModelConfig
from gptkit.runs import resolve
from gptkit.section import merge_settings

# Habits of training, not of the model.
_OWN = (
    "depth",
    "dropout",
    "init",
    "init_from",
    "activation_checkpointing",
)


def load_whole_config(path: Path, overrides: Sequence[Override]) -> RunConfig:
    """Return the config in a file, with `overrides` on top and what `model.init_from` brings below.

    Raises: ConfigError, CheckpointError.
    """
    return load_config(path, overrides, complete=inherit)


def inherit(values: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a config with what its `model.init_from` brings along.

    Raises: ConfigError when there is no such run; CheckpointError when it is damaged.
    """
    model, data = values.get("model"), values.get("data")
    source = model.get("init_from") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(source, str) or not source:
        return values
    checkpoint = resolve(Path(source))
    shape = _shape(checkpoint)
    merged = values | {"model": merge_settings(shape, model)}
    if isinstance(data, dict) and "tokenizer" not in data and not _brings_tokenizer(data):
        file = {"name": "file", "path": str(checkpoint / TOKENIZER_NAME)}
        merged["data"] = data | {"tokenizer": file}
    return merged


def shape_differences(model: ModelConfig, checkpoint: Path) -> list[str]:
    """Return what a config says otherwise than the model it takes its weights from."""
    theirs, ours = _shape(checkpoint), model.model_dump(mode="json")
    return [
        f"model.{key}: {ours[key]} (it has {theirs[key]})"
        for key in ours
        if key in theirs and key != "preset" and ours[key] != theirs[key]
    ]


def _shape(checkpoint: Path) -> dict[str, Any]:
    theirs = read_yaml((checkpoint / CONFIG_NAME).read_text(encoding="utf-8")).value
    if not isinstance(theirs, dict) or not isinstance(theirs.get("model"), dict):
        raise CheckpointError(f"{checkpoint}: its config has no model")
    return {key: value for key, value in theirs["model"].items() if key not in _OWN}


def _brings_tokenizer(data: dict[str, Any]) -> bool:
    source = data.get("source")
    return isinstance(source, dict) and source.get("name") == "tokens"
