"""config.json of a stock class, from the settings of a model and back.

What a reader of an older or newer transformers would fill in by itself is spelled out: `rope_theta`
stands there in both of its spellings, `head_dim` and the epsilon too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import (
    ACTIVATIONS,
    ARCHITECTURES,
    Architecture,
    head_dim,
    num_kv_heads,
    setting,
)
from gptkit.interchange.parameters import parameter_shapes
from gptkit.model.config import ModelConfig

NO_BIASES = "gptkit_no_biases"
"""A key of ours: the biases that GPT-2's class cannot do without are zeros, and were never there."""

# A config may come from anyone; tables of this length are made before its weights are looked at.
_MOST = 1 << 24

_OUR_ACTIVATIONS = {theirs: ours for ours, theirs in ACTIVATIONS.items()} | {
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
}


def to_hf_config(
    architecture: Architecture,
    config: ModelConfig,
    vocab_size: int,
    *,
    end_of_text: int | None,
    dtype: str,
) -> dict[str, Any]:
    """Return config.json. dtype: that of the tensors in the file, such as float32."""
    shared = {
        "architectures": [architecture.class_name],
        "model_type": architecture.model_type,
        "vocab_size": vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "torch_dtype": dtype,
        "use_cache": True,
    }
    specific = _gpt2 if architecture.is_gpt2 else _llama
    return shared | specific(architecture, config, vocab_size)


def generation_config(end_of_text: int | None, stop_ids: Sequence[int] = ()) -> dict[str, Any]:
    """Return generation_config.json: `generate` stops where documents end; stop_ids: and answers."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    config: dict[str, Any] = {"_from_model_config": True} | dict.fromkeys(names, end_of_text)
    return config | ({"eos_token_id": list(stop_ids)} if len(stop_ids) > 1 else {})


def from_hf_config(data: Mapping[str, Any]) -> tuple[Architecture, ModelConfig, int]:
    """Return the class, the settings and the vocabulary's size that a config.json describes.

    Raises: ConfigError for another class, a key that is missing or one that gptkit has no setting for.
    """
    model_type = str(data.get("model_type"))
    if model_type not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigError(f"model_type '{model_type}' is not supported; supported: {known}")
    architecture = ARCHITECTURES[model_type]
    read = _read_gpt2 if architecture.is_gpt2 else _read_llama
    try:
        config = ModelConfig.model_validate(read(data))
        vocab_size = data["vocab_size"]
    except KeyError as error:
        raise ConfigError(f"the key {error} is missing") from None
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ConfigError(f"is damaged: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if not isinstance(vocab_size, int) or vocab_size < 1:
        raise ConfigError(f"vocab_size: {vocab_size!r} is no size")
    if max(config.context_length, vocab_size) > _MOST:
        raise ConfigError(
            f"a context of {config.context_length:,} tokens of {vocab_size:,}: absurd"
        )
    problems = architecture.broken_rules(config)
    assert not problems, problems
    return architecture, config, vocab_size


def _llama(architecture: Architecture, config: ModelConfig, vocab_size: int) -> dict[str, Any]:
    theta = setting(config, "positions.theta")
    return {
        "hidden_size": config.n_embd,
        "intermediate_size": mlp_width(config, vocab_size),
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": num_kv_heads(config),
        "head_dim": head_dim(config),
        "hidden_act": ACTIVATIONS.get(setting(config, "mlp.name"), "silu"),
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps or 1e-6,
        # transformers 4 reads the first, transformers 5 the second.
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "attention_bias": config.bias,
        "mlp_bias": config.bias,
        "attention_dropout": config.dropout,
    }


def _gpt2(architecture: Architecture, config: ModelConfig, vocab_size: int) -> dict[str, Any]:
    activation = setting(config, "mlp.name")
    return {
        "n_positions": config.context_length,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": mlp_width(config, vocab_size),
        # The formula as published; every reader of GPT-2 files knows this name.
        "activation_function": "gelu_new" if activation == "gelu_tanh" else ACTIVATIONS[activation],
        "layer_norm_epsilon": config.norm_eps or 1e-5,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    } | ({} if config.bias else {NO_BIASES: True})


def mlp_width(config: ModelConfig, vocab_size: int) -> int:
    """Return the hidden channels of the MLP."""
    return parameter_shapes(config, vocab_size)["blocks.0.mlp.up_proj.weight"][0]


def _read_llama(data: Mapping[str, Any]) -> dict[str, Any]:
    gated = data["model_type"] != "arcee"
    is_qwen3 = data["model_type"] == "qwen3"
    bias = False if is_qwen3 else _bias(data)
    n_head = data["num_attention_heads"]
    _refuse_unless(data, "hidden_act", ["silu", "swish"] if gated else list(_OUR_ACTIVATIONS))
    _refuse_unless(data, "use_sliding_window", [False], default=False)
    if is_qwen3:
        _refuse_unless(data, "attention_bias", [False], default=False)
    for kind in data.get("layer_types") or ():
        _refuse_unless({"layer_types": kind}, "layer_types", ["full_attention"])
    _refuse_unless(data, "pretraining_tp", [1], default=1)
    mlp = "swiglu" if gated else _OUR_ACTIVATIONS[data["hidden_act"]]
    default_head_dim = 128 if is_qwen3 else data["hidden_size"] // n_head
    return {
        "preset": "modern",
        "n_layer": data["num_hidden_layers"],
        "n_head": n_head,
        "n_embd": data["hidden_size"],
        "context_length": data["max_position_embeddings"],
        "dropout": data.get("attention_dropout", 0.0),
        "bias": bias,
        "tie_embeddings": data.get("tie_word_embeddings", False),
        "norm_eps": data.get("rms_norm_eps", 1e-6),
        "attention": {
            "n_kv_head": data.get("num_key_value_heads") or n_head,
            "head_dim": data.get("head_dim") or default_head_dim,
            "qk_norm": is_qwen3,
        },
        "positions": {"name": "rotary", "theta": _theta(data)},
        "mlp": {"name": mlp, "width": data["intermediate_size"]},
    }


def _read_gpt2(data: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unless(data, "activation_function", list(_OUR_ACTIVATIONS), default="gelu_new")
    _refuse_unless(data, "scale_attn_weights", [True], default=True)
    _refuse_unless(data, "scale_attn_by_inverse_layer_idx", [False], default=False)
    _refuse_unless(data, "add_cross_attention", [False], default=False)
    drops = {data.get(key, 0.1) for key in ("embd_pdrop", "attn_pdrop", "resid_pdrop")}
    return {
        "preset": "gpt2",
        "n_layer": data["n_layer"],
        "n_head": data["n_head"],
        "n_embd": data["n_embd"],
        "context_length": data["n_positions"],
        # One chance for all three is what gptkit has.
        "dropout": max(drops),
        "bias": not data.get(NO_BIASES, False),
        "tie_embeddings": data.get("tie_word_embeddings", True),
        "norm_eps": data.get("layer_norm_epsilon", 1e-5),
        "mlp": {
            "name": _OUR_ACTIVATIONS[data.get("activation_function", "gelu_new")],
            "width": data.get("n_inner") or 4 * data["n_embd"],
        },
    }


def _bias(data: Mapping[str, Any]) -> bool:
    """gptkit has biases in all linear layers or in none."""
    attention = data.get("attention_bias", False)
    mlp = data.get("mlp_bias", False)
    if attention != mlp:
        raise ConfigError(
            f"attention_bias is {attention} and mlp_bias {mlp}: gptkit has biases in all layers or in none"
        )
    return bool(attention)


def _theta(data: Mapping[str, Any]) -> float:
    """Return the base of the wavelengths; any scaling of them is refused."""
    rope = data.get("rope_parameters") or {}
    scaling = data.get("rope_scaling") or {}
    for key, value in (("rope_parameters", rope), ("rope_scaling", scaling)):
        kind = value.get("rope_type", value.get("type", "default"))
        if kind != "default":
            raise ConfigError(f"{key}: rope_type '{kind}' is not supported; supported: default")
        if any(isinstance(inner, Mapping) for inner in value.values()):
            raise ConfigError(f"{key}: another one for each kind of layer is not supported")
    part = rope.get("partial_rotary_factor", data.get("partial_rotary_factor"))
    _refuse_unless({"partial_rotary_factor": part}, "partial_rotary_factor", [None, 1.0])
    theta = rope.get("rope_theta", data.get("rope_theta", 10_000.0))
    return float(theta)


def _refuse_unless(
    data: Mapping[str, Any], key: str, allowed: list[Any], *, default: Any = None
) -> None:
    value = data.get(key, default)
    if value not in allowed:
        shown = ", ".join(str(choice) for choice in allowed)
        raise ConfigError(f"{key}: {value!r} is not supported; supported: {shown}")
