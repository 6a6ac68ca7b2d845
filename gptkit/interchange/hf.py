"""A folder in Hugging Face's layout, written and read.

config.json, generation_config.json     hf_config.py
model.safetensors                       parameters.py
tokenizer.json, tokenizer_config.json   tokenizer_json.py
README.md                               model_card.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gptkit.errors import ConfigError, GptkitError
from gptkit.interchange.architectures import choose_architecture
from gptkit.interchange.chat import stop_ids
from gptkit.interchange.hf_config import from_hf_config, generation_config, to_hf_config
from gptkit.interchange.parameters import slots, to_ours, to_theirs
from gptkit.interchange.tokenizer_import import read_json, read_tokenizer
from gptkit.interchange.tokenizer_json import to_tokenizer_config, to_tokenizer_json
from gptkit.model.config import ModelConfig
from gptkit.tokenizers.base import Tokenizer

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_HEAD, _EMBEDDINGS = "lm_head.weight", ("model.embed_tokens.weight", "transformer.wte.weight")
_GPT2_PREFIX = "transformer."
# Masks that older versions of transformers saved beside the weights.
_GPT2_BUFFERS = (".attn.bias", ".attn.masked_bias")
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Model:
    """What a folder holds: enough to build, run and save the model here."""

    config: ModelConfig
    weights: Mapping[str, Tensor]
    """By the names of gptkit, float32."""
    tokenizer: Tokenizer | None
    """None where the folder has none."""
    vocab_size: int
    end_of_text: int | None
    """The id that config.json names."""
    dtype: str
    """Of the tensors in the file."""


def write_folder(
    folder: Path,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    *,
    dtype: str = "float32",
    card: str,
) -> None:
    """Fill an empty folder. weights: by the names of gptkit; dtype: of the tensors in the file.

    Raises: ConfigError for settings that no stock class has.
    """
    architecture = choose_architecture(config)
    tensors = to_theirs(weights, slots(architecture, config, tokenizer.vocab_size))
    tensors = {name: tensor.to(DTYPES[dtype]) for name, tensor in tensors.items()}
    try:
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    except SafetensorError as error:  # a full disk comes as one, without errno
        raise GptkitError(f"{folder / WEIGHTS}: cannot be written: {error}") from error
    end = tokenizer.end_of_text
    files = {
        CONFIG: to_hf_config(
            architecture, config, tokenizer.vocab_size, end_of_text=end, dtype=dtype
        ),
        "generation_config.json": generation_config(end, stop_ids(tokenizer)),
        "tokenizer.json": to_tokenizer_json(tokenizer),
        "tokenizer_config.json": to_tokenizer_config(tokenizer, config.context_length),
    }
    for name, content in files.items():
        _write(folder / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
    _write(folder / "README.md", card)


def read_folder(path: Path, *, warn: Callable[[str], None] = lambda text: None) -> Model:
    """Return the model in a folder, or in a safetensors file beside its config.json.

    warn: is told what will be otherwise here.

    Raises: ConfigError for what is missing, damaged or not supported.
    """
    folder, files = _files(path)
    data = read_json(folder / CONFIG)
    if not isinstance(data, dict):
        raise ConfigError(f"{folder / CONFIG}: is not the config of a model")
    try:
        architecture, config, vocab_size = from_hf_config(data)
    except ConfigError as error:
        raise ConfigError(f"{folder / CONFIG}: {error}") from None
    tensors = _load(files)
    if config.n_layer > len(tensors):
        raise ConfigError(
            f"{path}: {len(tensors)} tensors cannot be the {config.n_layer:,} layers of its config"
        )
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    if architecture.is_gpt2:
        tensors = _gpt2_names(tensors)
    tensors = _without_tied_head(tensors, config)
    try:
        weights = to_ours(tensors, slots(architecture, config, vocab_size))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    end = data.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    end = end if isinstance(end, int) else None
    tokenizer = read_tokenizer(folder, vocab_size, end_of_text=end, warn=warn)
    return Model(config, weights, tokenizer, vocab_size, end, dtype)


def _files(path: Path) -> tuple[Path, list[Path]]:
    """Return the folder of a model and the files with its tensors."""
    if path.is_file():
        if path.suffix != ".safetensors":
            raise ConfigError(f"'{path}' is not a .safetensors file; others can run code")
        folder, files = path.parent, [path]
    elif (path / _INDEX).is_file():
        index = read_json(path / _INDEX)
        weight_map = index.get("weight_map") if isinstance(index, dict) else None
        places = list(weight_map.values()) if isinstance(weight_map, dict) else []
        if not places or not all(isinstance(place, str) for place in places):
            raise ConfigError(
                f"{path / _INDEX}: does not say in 'weight_map' where the tensors are"
            )
        names = sorted(set(places))
        if any(Path(name).name != name for name in names):
            raise ConfigError(f"{path / _INDEX}: names files outside its folder")
        folder, files = path, [path / name for name in names]
    else:
        folder, files = path, [path / WEIGHTS]
    for file in (folder / CONFIG, *files):
        if not file.is_file():
            raise ConfigError(
                f"'{file}' is not there; a model is a folder with {CONFIG} and {WEIGHTS}"
            )
    return folder, files


def _load(files: list[Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  not a dict
                    if name in tensors:
                        raise ConfigError(f"{file}: '{name}' stands in another file too")
                    tensors[name] = opened.get_tensor(name)
        except (SafetensorError, OSError, RuntimeError, ValueError, TypeError) as error:
            raise ConfigError(f"{file}: cannot be loaded: {str(error)[:200]}") from None
    strange = [name for name, t in tensors.items() if t.dtype not in DTYPES.values()]
    if strange or not tensors:
        what = f"'{strange[0]}' is of {tensors[strange[0]].dtype}" if strange else "holds no tensor"
        raise ConfigError(f"{files[0]}: {what}; readable: {', '.join(DTYPES)}")
    return tensors


def _gpt2_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return GPT-2's tensors as its class names them: older files lack the prefix, and have masks."""
    named = {
        name if name.startswith((_GPT2_PREFIX, _HEAD)) else _GPT2_PREFIX + name: tensor
        for name, tensor in tensors.items()
        if not name.endswith(_GPT2_BUFFERS)
    }
    return named


def _without_tied_head(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Drop a head that only repeats the embedding it is tied to."""
    if not config.tie_embeddings or _HEAD not in tensors:
        return tensors
    embedding = next((tensors[name] for name in _EMBEDDINGS if name in tensors), None)
    if embedding is None:
        return tensors  # what is missing is said with the others
    if not torch.equal(tensors[_HEAD], embedding):
        raise ConfigError(f"'{_HEAD}' differs from the embedding, though the config ties them")
    return {name: tensor for name, tensor in tensors.items() if name != _HEAD}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def config_of(folder: Path) -> dict[str, Any]:
    """Return config.json of a folder that was written here."""
    content: dict[str, Any] = read_json(folder / CONFIG)
    return content
