"""Is a Hugging Face folder the model that it was written from? gptkit's reader says, then transformers."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import choose_architecture, setting
from gptkit.interchange.chat import chat_format
from gptkit.interchange.extras import why_missing
from gptkit.interchange.hf import config_of, read_folder
from gptkit.interchange.probes import probe_texts, probe_tokens
from gptkit.interchange.proof import (
    Comparison,
    ProofError,
    compare_logits,
    compare_tensors,
    compare_texts,
)
from gptkit.interchange.tokenizer_import import composes, read_json
from gptkit.model import GPT
from gptkit.tokenizers.base import Tokenizer

_TOLERANCE = 1e-5
_GPT2_TOLERANCE = 1e-4  # its class computes gelu_tanh by another formula


def read_back(folder: Path, model: GPT, tokenizer: Tokenizer) -> list[Comparison]:
    """Compare a written folder with what gptkit reads from it; needs no other program.

    model: with the weights as the file's dtype holds them.
    """
    try:
        found = read_folder(folder)
    except ConfigError as error:
        raise ProofError(f"the export is wrong and was not kept: {error}") from error
    weights = dict(model.state_dict())
    assert found.tokenizer is not None
    return [
        compare_tensors("read back: weights", weights, dict(found.weights)),
        _compare_settings(folder, model),
        compare_texts(
            "read back: tokenizer",
            probe_texts(tokenizer),
            tokenizer.encode,
            found.tokenizer.encode,
        ),
    ]


def with_transformers(folder: Path, model: GPT, tokenizer: Tokenizer) -> list[Comparison] | None:
    """Compare a folder with what transformers loads from it; None where it cannot be used.

    model: with the weights as the file's dtype holds them, in float32.
    """
    if why_missing("transformers") is not None:
        return None
    transformers = import_module("transformers")
    name = f"transformers {transformers.__version__}"
    texts = probe_texts(tokenizer)
    # A model that chats leaves special text to transformers; here it is told to take it for text.
    chats = chat_format(tokenizer) is not None
    as_text = {"add_special_tokens": False} | ({"split_special_tokens": True} if chats else {})
    with _quiet():
        loaded, info = load_with_transformers(folder)
        their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        same_tokens = compare_texts(
            f"{name}: tokenizer",
            texts,
            tokenizer.encode,
            lambda text: their_tokenizer(text, **as_text)["input_ids"],
        )
    # A tuple for each tensor: a name, or a name and two shapes.
    wrong = sum(len(found) for key, found in info.items() if key.endswith("_keys"))
    class_name = type(loaded).__name__
    return [
        Comparison(f"{name}: keys missing or unexpected", f"{class_name}", wrong, 0),
        _same_logits(name, model, loaded),
        same_tokens,
        compare_texts(
            "tokenizers: tokenizer.json",
            texts,
            tokenizer.encode,
            _tokenizers(folder, special_text=not chats),
        ),
    ]


def against_original(folder: Path, model: GPT, tokenizer: Tokenizer | None) -> list[Comparison]:
    """Compare an imported model with what transformers, which must be installed, makes of the original.

    tokenizer: None where the folder has none.
    """
    transformers = import_module("transformers")
    name = f"transformers {transformers.__version__}"
    with _quiet():
        loaded, _ = load_with_transformers(folder)
    comparisons = [_same_logits(name, model, loaded)]
    if tokenizer is not None and (folder / "tokenizer.json").is_file():
        texts = probe_texts(tokenizer)
        if composes(read_json(folder / "tokenizer.json")):  # the import says that gptkit does not
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        theirs = _tokenizers(folder, special_text=False)
        comparisons.append(
            compare_texts("tokenizers: tokenizer.json", texts, tokenizer.encode, theirs)
        )
    return comparisons


def load_with_transformers(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the model of a folder in float32 and what transformers says about its keys.

    Raises: ProofError when it does not load.
    """
    transformers = import_module("transformers")
    try:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
    except Exception as error:  # anything, from any of its files
        raise ProofError(f"transformers does not load the model: {str(error)[:300]}") from error
    return model.float().eval(), info


@torch.no_grad()
def logits_of(model: Any, tokens: Tensor) -> Tensor:
    """Return the (B, T, V) logits of a model of gptkit's or of transformers', a row at a time."""
    rows = [model(row.unsqueeze(0)) for row in tokens]
    return torch.cat([getattr(row, "logits", row) for row in rows])


def _same_logits(name: str, model: GPT, loaded: Any) -> Comparison:
    tokens = probe_tokens(model.vocab_size, model.config.context_length)
    is_gpt2 = choose_architecture(model.config).is_gpt2
    return compare_logits(
        f"{name}: log-probabilities",
        logits_of(model, tokens),
        logits_of(loaded, tokens),
        tolerance=_GPT2_TOLERANCE if is_gpt2 else _TOLERANCE,
    )


def _compare_settings(folder: Path, model: GPT) -> Comparison:
    """Count settings that a reader could take from its own defaults instead of config.json."""
    config, content = model.config, config_of(folder)
    expected: dict[str, object] = {
        "vocab_size": model.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
    }
    theta = setting(config, "positions.theta")
    if theta is not None:
        expected |= {"rope_theta": theta, "rms_norm_eps": config.norm_eps or 1e-6}
        content = {"rope_in_5": content.get("rope_parameters", {}).get("rope_theta"), **content}
        expected["rope_in_5"] = theta
    else:
        expected["layer_norm_epsilon"] = config.norm_eps or 1e-5
    wrong = sum(content.get(key) != value for key, value in expected.items())
    return Comparison("read back: settings", f"{len(expected)} keys", wrong, 0)


def _tokenizers(folder: Path, *, special_text: bool = True) -> Callable[[str], list[int]]:
    """Return the encoding of the library `tokenizers`.

    special_text: leave added tokens in a text to it; otherwise it is told that they are text.
    """
    data = read_json(folder / "tokenizer.json")
    if not special_text:
        data["added_tokens"] = [{**t, "special": True} for t in data.get("added_tokens") or ()]
    theirs = import_module("tokenizers").Tokenizer.from_str(json.dumps(data))
    theirs.encode_special_tokens = not special_text
    return lambda text: theirs.encode(text, add_special_tokens=False).ids


@contextmanager
def _quiet() -> Any:
    """Keep transformers' progress bars and advice off the terminal; its errors still come."""
    logging = import_module("transformers.utils.logging")
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    with suppress(AttributeError):
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
