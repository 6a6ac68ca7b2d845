"""gptkit eval: what a trained model knows about a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gptkit.data.batches import EvaluationWindows
from gptkit.data.encoding import encode_file
from gptkit.data.prepare import prepare_dataset
from gptkit.data.shards import Tokens
from gptkit.errors import ConfigError
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.load import Run, load_run
from gptkit.recipes.train.resume import check_data_identity
from gptkit.runtime.runtime import Runtime
from gptkit.training.evaluate import evaluate

_SPLITS = ("val", "test", "train")


def run(
    path: Path | None,
    *,
    split: str,
    data: Path | None,
    stride: int | None,
    as_json: bool,
    checkpoint: str | None,
    allow_plugins: bool,
) -> None:
    """Print loss, perplexity, bits per byte and accuracy, computed in float32.

    Raises: ConfigError, DataError, CheckpointError.
    """
    if split not in _SPLITS:
        raise ConfigError(f"--split {split}: must be {', '.join(_SPLITS)}")
    # bfloat16 would be faster, and show in the fourth digit.
    loaded = load_run(
        path, checkpoint=checkpoint, dtype="float32", allow_plugins=allow_plugins, say=say
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    figures = figures_of(loaded, split=split, data=data, stride=stride)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        _print_table(figures)


def figures_of(
    loaded: Run, *, split: str = "val", data: Path | None = None, stride: int | None = None
) -> dict[str, Any]:
    """Return the figures of a split of the run's own data, or of another text, by name.

    loss: nats per token; bits_per_byte: comparable between tokenizers.

    Raises: ConfigError, DataError.
    """
    context_length = loaded.config.model.context_length
    if stride is not None and stride > context_length:
        raise ConfigError(
            f"--stride {stride}: must be at most the model's context, {context_length} tokens"
        )
    tokens = _tokens(loaded, split, data)
    windows = EvaluationWindows(
        tokens, context_length, stride, documents=loaded.config.data.documents == "mask"
    )
    runtime = Runtime(device=loaded.model.token_embedding.weight.device)
    evaluation = evaluate(loaded.model, windows, runtime, loaded.tokenizer.token_bytes())
    assert evaluation is not None
    return {
        "loss": evaluation.loss,
        "perplexity": evaluation.perplexity,
        "bits_per_byte": evaluation.bits_per_byte,
        "accuracy": evaluation.accuracy,
        "tokens": evaluation.tokens,
        "bytes": evaluation.bytes,
        "split": split if data is None else str(data),
        "step": loaded.step,
        "run": str(loaded.run_dir),
    }


def _tokens(loaded: Run, split: str, data: Path | None) -> Tokens:
    if data is not None:
        tokens: Tokens = encode_file(
            str(data),
            loaded.tokenizer,
            on_bad_utf8=loaded.config.data.on_bad_utf8,
            progress=TerminalProgress(),
        )
        if len(tokens) < 2:
            raise ConfigError(f"{data}: {len(tokens)} tokens are too few: the first is not scored")
        return tokens
    dataset = prepare_dataset(loaded.config.data, progress=TerminalProgress())
    check_data_identity(dataset.identity, loaded.checkpoint)
    return dataset.split(split)


def _print_table(figures: dict[str, Any]) -> None:
    width = max(map(len, figures))
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        shown = f"{value:.4f}" if isinstance(value, float) else shown
        print(f"{name:<{width}}  {shown}")
