"""Config and model of a checkpoint that may come from anyone: nothing it claims is acted on before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from gptkit.checkpoint.store import (
    CONFIG_NAME,
    PLUGINS_NAME,
    WEIGHTS_NAME,
    load_config_text,
    load_weights,
    plugin_files,
    weight_shapes,
)
from gptkit.config import RunConfig
from gptkit.config.load import validate_config
from gptkit.config.yaml12 import read_yaml
from gptkit.errors import CheckpointError, ConfigError
from gptkit.model import GPT
from gptkit.model.adapter_config import NoAdapterConfig
from gptkit.model.cache import KVCache
from gptkit.model.config import ModelConfig
from gptkit.model.gpt import Block
from gptkit.model.ladder import MODELS
from gptkit.recipes.weights import model_weights

Shapes = Mapping[str, tuple[int, ...]]

# Tables and cache of a long context may take this much, or so many times what the weights take.
_CONTEXT_BYTES = 4 << 30
_CONTEXT_PER_WEIGHT = 32
_PROBLEMS_SHOWN = 3
_LINE_SHOWN = 300


def trusted_config(checkpoint: Path, *, run_plugins: bool) -> RunConfig:
    """Return the config of a verified checkpoint.

    run_plugins: run the Python files that it carries and names. Otherwise none is run, and none is in the config: the
        variants that it uses must be known already.

    Raises: CheckpointError.
    """
    document = read_yaml(load_config_text(checkpoint))
    values = document.value
    if document.problems or not isinstance(values, dict):
        what = document.problems[0][2] if document.problems else "not a mapping of sections"
        raise _unreadable(checkpoint, what)
    if run_plugins:
        _check_plugins(checkpoint, values.get("plugins"))
    else:
        values = {key: value for key, value in values.items() if key != "plugins"}
    where, folder = str(checkpoint / CONFIG_NAME), checkpoint / PLUGINS_NAME
    try:
        return validate_config(values, {}, where=where, plugin_folder=folder)
    except ConfigError as error:
        raise _unreadable(checkpoint, str(error)) from error


def trusted_model(checkpoint: Path, config: RunConfig, vocab_size: int) -> GPT:
    """Return the model of a verified checkpoint on the CPU, with its weights.

    Raises: CheckpointError when the weights in the file are not those that the config describes.
    """
    weights = None if isinstance(config.adapter, NoAdapterConfig) else model_weights(checkpoint)
    if not config.plugins:  # whose code the user trusts; it may need real memory to be built
        given = weight_shapes(checkpoint) if weights is None else _shapes_of(weights)
        _check_claims(checkpoint, config.model, vocab_size, given)
    model: GPT = MODELS.build(config.model, vocab_size)
    put_weights(model, checkpoint, load_weights(checkpoint) if weights is None else weights)
    return model


def fill(model: nn.Module, checkpoint: Path) -> None:
    """Give a model the weights of a verified checkpoint.

    Raises: CheckpointError when they do not fit.
    """
    put_weights(model, checkpoint, load_weights(checkpoint))


def put_weights(model: nn.Module, checkpoint: Path, weights: Mapping[str, Tensor]) -> None:
    """Give a model weights that come, or mostly come, from a checkpoint.

    Raises: CheckpointError when they do not fit.
    """
    check_fit(checkpoint, model.state_dict(), weights)
    model.load_state_dict(weights)


def check_fit(
    checkpoint: Path, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> None:
    """Raise a CheckpointError where names or shapes of weights are not those expected."""
    _compare(checkpoint, _shapes_of(expected), _shapes_of(given))


def _check_plugins(checkpoint: Path, named: object) -> None:
    # A name may mean any file of this machine, such as one that came along with the checkpoint.
    carried = [file.name for file in plugin_files(checkpoint)]
    foreign = [name for name in named if name not in carried] if isinstance(named, list) else []
    if foreign:
        raise _unreadable(checkpoint, f"the plugin '{foreign[0]}' is not among those it carries")


def _check_claims(checkpoint: Path, config: ModelConfig, vocab_size: int, given: Shapes) -> None:
    """Hold a config against the weights' shapes, by means of a model of one block that takes no memory."""
    if config.n_layer > len(given):
        raise _misfit(checkpoint, f"{config.n_layer} blocks of {len(given)} tensors")
    try:
        with torch.device("meta"):
            if not isinstance(config, ModelConfig):
                _compare(checkpoint, _shapes(MODELS.build(config, vocab_size)), given)
                return
            one = GPT(config.model_copy(update={"n_layer": 1}), vocab_size)
            cache = cast(Block, one.blocks[0]).attention.new_cache(
                1, config.context_length, dtype=torch.float32, device=torch.device("meta")
            )
    except (RuntimeError, ArithmeticError, TypeError, ValueError) as error:
        raise _misfit(checkpoint, str(error)[:100]) from None
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in _shapes(one).items():
        copies = range(config.n_layer) if name.startswith("blocks.0.") else [0]
        expected |= {name.replace("blocks.0.", f"blocks.{i}.", 1): shape for i in copies}
    _compare(checkpoint, expected, given)
    assert isinstance(cache, KVCache)
    context_bytes = sum(table.nbytes for table in one.buffers())
    context_bytes += 2 * cache.keys.nbytes * config.n_layer
    weight_bytes = (checkpoint / WEIGHTS_NAME).stat().st_size
    if context_bytes > max(_CONTEXT_BYTES, _CONTEXT_PER_WEIGHT * weight_bytes):
        raise CheckpointError(
            f"{checkpoint}: its config asks for a context of {config.context_length:,} tokens, which takes"
            f" {context_bytes / 1e9:,.0f} GB beside {weight_bytes / 1e9:,.3f} GB of weights"
        )


def _shapes(model: nn.Module) -> Shapes:
    return _shapes_of(model.state_dict())


def _shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _compare(checkpoint: Path, expected: Shapes, given: Shapes) -> None:
    lacking, unknown = expected.keys() - given.keys(), given.keys() - expected.keys()
    for what, names in (("lack", lacking), ("have besides", unknown)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise _misfit(checkpoint, f"they {what} {min(names)[:80]!r}{more}")
    for name, shape in expected.items():
        if given[name] != shape:
            raise _misfit(checkpoint, f"'{name}' has the shape {given[name]}, not {shape}")


def _unreadable(checkpoint: Path, problems: str) -> CheckpointError:
    lines = [line[:_LINE_SHOWN] for line in problems.split("\n", _PROBLEMS_SHOWN)[:_PROBLEMS_SHOWN]]
    return CheckpointError(f"{checkpoint}: its config cannot be read: " + "\n".join(lines))


def _misfit(checkpoint: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{checkpoint}: its weights do not fit the model: {what}")
