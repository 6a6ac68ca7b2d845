"""A file for llama.cpp, Ollama and LM Studio, written with the package gguf.

The tensors are those of the Hugging Face folder with three changes:

    GPT-2's four transposed matrices   as in gptkit, (out, in)
    queries and keys of llama, arcee   their rows in llama.cpp's interleaved rotary order
    padding at the end of the vocabulary   left out: llama.cpp wants a token for each row

Numbers of one dimension, and position tables, stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import (
    ARCEE,
    ARCHITECTURES,
    GPT2,
    LLAMA,
    Architecture,
    Rule,
    choose_architecture,
    head_dim,
    num_kv_heads,
    one_of,
    setting,
)
from gptkit.interchange.gguf_tokenizer import TokenizerKeys, num_tokens, tokenizer_keys
from gptkit.interchange.hf_config import mlp_width
from gptkit.interchange.parameters import slots, to_theirs
from gptkit.model.config import ModelConfig
from gptkit.tokenizers.base import Tokenizer

TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
"""Number formats by the names of llama.cpp's own converter -> gguf's."""
_FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32, "q8_0": 7}
_EMBEDDINGS = ("token_embd.weight", "output.weight")

_POSITIONS = ("position_embd.weight", "positions.embedding.weight")

# llama.cpp has one activation for each architecture, and no biases for Arcee.
_EXTRA_RULES: dict[str, tuple[Rule, ...]] = {
    GPT2.model_type: (one_of("mlp.name", "gelu_tanh"),),
    ARCEE.model_type: (one_of("mlp.name", "relu2"), one_of("bias", False)),
}


def gguf_architecture(config: ModelConfig) -> Architecture:
    """Return the architecture of llama.cpp that holds a model whole.

    Raises: ConfigError naming the settings that none has.
    """
    known = [
        Architecture(
            arch.model_type,
            arch.class_name,
            arch.rules + _EXTRA_RULES.get(arch.model_type, ()),
            arch.is_gpt2,
        )
        for arch in ARCHITECTURES.values()
    ]
    return choose_architecture(config, known, "GGUF")


def write_gguf(
    path: Path,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    *,
    number_type: str,
    name: str,
) -> None:
    """Write the file `path`. weights: float32, by the names of gptkit; number_type: one of TYPES.

    Raises: ConfigError for settings or a tokenizer that llama.cpp does not have, and without the
        package gguf.
    """
    gguf = require_gguf()
    architecture = gguf_architecture(config)
    keys = tokenizer_keys(tokenizer)
    writer = gguf.GGUFWriter(path, architecture.model_type)
    try:
        writer.add_name(name)
        writer.add_file_type(_FILE_TYPES[number_type])
        _add_shape(writer, architecture, config, len(keys.tokens))
        _add_tokenizer(writer, keys)
        for tensor_name, data in gguf_tensors(architecture, config, weights, tokenizer):
            kind = number_type_of(tensor_name, data, number_type)
            raw_type = gguf.GGMLQuantizationType[TYPES[kind]]
            writer.add_tensor(tensor_name, gguf.quants.quantize(data, raw_type), raw_dtype=raw_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def require_gguf() -> Any:
    """Return the package gguf.

    Raises: ConfigError where it is not installed.
    """
    try:
        return import_module("gguf")
    except ImportError:
        raise ConfigError("GGUF needs the package gguf: pip install 'gptkit[gguf]'") from None


def gguf_tensors(
    architecture: Architecture,
    config: ModelConfig,
    weights: Mapping[str, Tensor],
    tokenizer: Tokenizer,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each tensor's name and content, as llama.cpp lays them out."""
    gguf = require_gguf()
    kind = gguf.MODEL_ARCH[architecture.model_type.upper()]
    names = gguf.get_tensor_name_map(kind, config.n_layer)
    the_slots = slots(architecture, config, tokenizer.vocab_size)
    transposed = {name for slot in the_slots if slot.transposed for name in slot.theirs}
    for their_name, tensor in to_theirs(weights, the_slots).items():
        tensor_name = names.get_name(their_name, try_suffixes=(".weight", ".bias"))
        data = np.ascontiguousarray(tensor.T if their_name in transposed else tensor)
        if tensor_name in _EMBEDDINGS:
            data = data[: num_tokens(tokenizer)]
        yield tensor_name, permute(architecture, config, tensor_name, data)


def permute(
    architecture: Architecture, config: ModelConfig, name: str, data: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a tensor with the rows of queries and keys in llama.cpp's order for its architecture.

    Our channel i turns with i + D/2; in llama.cpp's llama and arcee 2i turns with 2i + 1.
    """
    if architecture.model_type not in (LLAMA.model_type, ARCEE.model_type):
        return data
    heads = {"attn_q": config.n_head, "attn_k": num_kv_heads(config)}
    count = next((n for part, n in heads.items() if f".{part}." in name), None)
    if count is None:
        return data
    halves = data.reshape(count, 2, head_dim(config) // 2, *data.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(data.shape))


def number_type_of(name: str, data: NDArray[np.float32], number_type: str) -> str:
    """Return the number format of one tensor in a file of `number_type`."""
    if data.ndim == 1 or name in _POSITIONS:
        return "f32"
    if number_type == "q8_0" and data.shape[-1] % 32:
        return "f16"  # a block is 32 numbers of a row
    return number_type


def rounded_weights(weights: Mapping[str, Tensor], number_type: str) -> dict[str, Tensor]:
    """Return float32 weights by the names of gptkit as a file of `number_type` holds them.

    Blocks of Q8_0 lie in rows, and rows only change places on the way to llama.cpp.
    """
    gguf = require_gguf()
    rounded = {}
    for name, weight in weights.items():
        data = np.ascontiguousarray(weight)
        raw_type = gguf.GGMLQuantizationType[TYPES[number_type_of(name, data, number_type)]]
        blocks = gguf.quants.quantize(data, raw_type)
        rounded[name] = torch.from_numpy(gguf.quants.dequantize(blocks, raw_type).copy())
    return rounded


def _add_shape(
    writer: Any, architecture: Architecture, config: ModelConfig, vocab_size: int
) -> None:
    writer.add_vocab_size(vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(mlp_width(config, vocab_size))
    writer.add_head_count(config.n_head)
    if architecture.is_gpt2:
        writer.add_layer_norm_eps(config.norm_eps or 1e-5)
        return
    writer.add_head_count_kv(num_kv_heads(config))
    writer.add_layer_norm_rms_eps(config.norm_eps or 1e-6)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_freq_base(setting(config, "positions.theta"))


def _add_tokenizer(writer: Any, keys: TokenizerKeys) -> None:
    writer.add_tokenizer_model(keys.model)
    if keys.pre is not None:
        writer.add_tokenizer_pre(keys.pre)
    writer.add_token_list(keys.tokens)
    writer.add_token_types(keys.types)
    if keys.merges:
        writer.add_token_merges(keys.merges)
    if keys.end_of_text is not None:
        writer.add_bos_token_id(keys.end_of_text)
        writer.add_eos_token_id(keys.end_of_text)
    if keys.chat_template is not None:
        writer.add_chat_template(keys.chat_template)
    if keys.end_of_turn is not None:
        writer.add_eot_token_id(keys.end_of_turn)
    writer.add_add_bos_token(False)
