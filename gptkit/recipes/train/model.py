"""The model of a run: new, as a checkpoint left it, begun with another one's weights, or beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gptkit.checkpoint.store import TOKENIZER_NAME, load_weights
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.errors import CheckpointError, ConfigError
from gptkit.model import GPT
from gptkit.model.adapter_config import ADAPTERS, NoAdapterConfig
from gptkit.model.ladder import MODELS
from gptkit.model.lora import freeze, updates_of
from gptkit.recipes.train.inherit import shape_differences
from gptkit.recipes.train.resume import Resumed
from gptkit.recipes.trust import check_fit, fill, put_weights
from gptkit.recipes.weights import (
    BASE_KEY,
    find_base,
    model_weights,
    new_rows,
    rows_of,
    weights_sha256,
    with_rows,
)
from gptkit.runs import resolve
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.store import load_tokenizer, tokenizer_sha256
from gptkit.training.snapshot import KeptWeights


@dataclass(frozen=True)
class StartedModel:
    """A model with its weights."""

    model: GPT
    kept: KeptWeights | None = None
    """What a checkpoint holds of an adapter; None: all weights."""
    base_sha256: str | None = None
    """Of the weights that an adapter belongs to."""


def start_model(config: RunConfig, dataset: Dataset, resumed: Resumed | None) -> StartedModel:
    """Return the model of a run on the CPU, where it begins or goes on.

    Raises: ConfigError when `model.init_from`, `adapter` or `freeze` does not fit; CheckpointError.
    """
    model: GPT = MODELS.build(config.model, dataset.tokenizer.vocab_size)
    if not isinstance(config.adapter, NoAdapterConfig):
        return _adapted(config, model, dataset, resumed)
    if resumed is not None:
        fill(model, resumed.checkpoint)
    elif config.model.init_from is not None:
        checkpoint = resolve(Path(config.model.init_from))
        _check_tokenizer(config.model.init_from, checkpoint, dataset.tokenizer)
        weights = model_weights(checkpoint)
        rows = new_rows(weights, model.vocab_size, config.training.seed)
        _begin_with(model, checkpoint, with_rows(weights, rows))
    else:
        model.init_weights(config.training.seed)
    freeze(model, config.freeze)
    return StartedModel(model)


def _adapted(
    config: RunConfig, model: GPT, dataset: Dataset, resumed: Resumed | None
) -> StartedModel:
    source, seed = config.model.init_from, config.training.seed
    assert source is not None, "RunConfig checks this"
    base = find_base(Path(source), None if resumed is None else resumed.state.get(BASE_KEY))
    _check_tokenizer(source, base, dataset.tokenizer)
    weights = model_weights(base)
    own = {} if resumed is None else load_weights(resumed.checkpoint)
    rows = rows_of(own) if resumed is not None else new_rows(weights, model.vocab_size, seed)
    _begin_with(model, base, with_rows(weights, rows))
    ADAPTERS.build(config.adapter, model, seed)
    updates = updates_of(model.state_dict())
    if resumed is not None:
        check_fit(resumed.checkpoint, {**updates, **rows}, own)
        model.load_state_dict(updates_of(own), strict=False)
    return StartedModel(model, KeptWeights(frozenset(updates), rows), weights_sha256(base))


def _check_tokenizer(source: str, checkpoint: Path, ours: Tokenizer) -> None:
    theirs = load_tokenizer(checkpoint / TOKENIZER_NAME)
    same = tokenizer_sha256(theirs) == tokenizer_sha256(ours)
    if not same and not (isinstance(ours, BPETokenizer) and ours.extends(theirs)):
        raise ConfigError(
            f"model.init_from: '{source}' has another tokenizer: its token ids mean other text; a config"
            " without data.tokenizer takes its tokenizer along"
        )


def _begin_with(model: GPT, checkpoint: Path, weights: dict[str, Tensor]) -> None:
    try:
        put_weights(model, checkpoint, weights)
    except CheckpointError as error:
        differences = ", ".join(shape_differences(model.config, checkpoint))
        raise ConfigError(
            f"model.init_from: {error}; what a config leaves out is taken from there, this one says"
            f" {differences}"
        ) from error
