"""The stock classes that gptkit's models fit into, and the settings that each of them can hold.

    GPT2LMHeadModel    layer_norm, learned positions, a plain MLP, as many key/value heads as heads
    Qwen3ForCausalLM   rms_norm, rotary positions, SwiGLU, QK-norm, no biases: preset modern
    LlamaForCausalLM   the same without QK-norm; biases everywhere or nowhere
    ArceeForCausalLM   as Llama, with a plain MLP

A model fits where every rule of a class holds. Nothing is approximated: a setting that a class does
not have is refused, with the class that comes nearest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gptkit.errors import ConfigError
from gptkit.model.config import ModelConfig, MultiHeadConfig

ACTIVATIONS = {
    "gelu_tanh": "gelu_pytorch_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "relu2": "relu2",
}
"""Plain MLPs of ours -> the activation's name in transformers."""


@dataclass(frozen=True)
class Rule:
    """What a class asks of one setting."""

    setting: str
    holds: Callable[[ModelConfig], bool]
    allowed: str


@dataclass(frozen=True)
class Architecture:
    """A stock class of transformers."""

    model_type: str
    """Its name in config.json, and in llama.cpp."""
    class_name: str
    rules: tuple[Rule, ...]
    is_gpt2: bool = False
    """GPT-2's own names and layout; the others share Llama's."""

    def broken_rules(self, config: ModelConfig) -> list[Rule]:
        """Return the rules that a model does not keep."""
        return [rule for rule in self.rules if not rule.holds(config)]


def attention_of(config: ModelConfig) -> MultiHeadConfig:
    """Return the attention's settings; a plugin's attention fits into no class."""
    assert isinstance(config.attention, MultiHeadConfig)
    return config.attention


def num_kv_heads(config: ModelConfig) -> int:
    """Return how many heads keys and values have."""
    return attention_of(config).n_kv_head or config.n_head


def head_dim(config: ModelConfig) -> int:
    """Return the channels of one head."""
    return attention_of(config).head_dim or config.head_dim


def setting(config: ModelConfig, path: str) -> Any:
    """Return the value at a dotted path below `model`; None where a variant lacks it."""
    value: Any = config
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _shown(value: object) -> str:
    """Return a value as YAML says it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def one_of(path: str, *values: object) -> Rule:
    """Return the rule that a setting has one of these values."""
    return Rule(
        path,
        lambda config: setting(config, path) in values,
        " or ".join(_shown(value) for value in values),
    )


_ANY = (
    one_of("attention.name", "multi_head"),
    Rule(
        "attention.window",
        lambda config: (setting(config, "attention.window") or 2**62) >= config.context_length,
        "null",
    ),
    one_of("logit_softcap", None),
    one_of("embedding_window", 1),
    one_of("ngram_rows", None),
)
_ROTARY = (*_ANY, one_of("norm", "rms_norm"), one_of("positions.name", "rotary"))

GPT2 = Architecture(
    "gpt2",
    "GPT2LMHeadModel",
    (
        *_ANY,
        one_of("norm", "layer_norm"),
        one_of("positions.name", "learned"),
        one_of("mlp.name", *ACTIVATIONS),
        one_of("attention.qk_norm", False),
        Rule(
            "attention.n_kv_head",
            lambda config: setting(config, "attention.n_kv_head") in (None, config.n_head),
            "null",
        ),
        Rule(
            "attention.head_dim",
            lambda config: (
                (setting(config, "attention.head_dim") or config.head_dim) * config.n_head
                == config.n_embd
            ),
            "null",
        ),
    ),
    is_gpt2=True,
)
QWEN3 = Architecture(
    "qwen3",
    "Qwen3ForCausalLM",
    (
        *_ROTARY,
        one_of("mlp.name", "swiglu"),
        one_of("attention.qk_norm", True),
        one_of("bias", False),
    ),
)
LLAMA = Architecture(
    "llama",
    "LlamaForCausalLM",
    (*_ROTARY, one_of("mlp.name", "swiglu"), one_of("attention.qk_norm", False)),
)
ARCEE = Architecture(
    "arcee",
    "ArceeForCausalLM",
    (*_ROTARY, one_of("mlp.name", *ACTIVATIONS), one_of("attention.qk_norm", False)),
)
ARCHITECTURES = {arch.model_type: arch for arch in (QWEN3, LLAMA, ARCEE, GPT2)}
"""By model_type; of two that are equally near, the first is named."""


def choose_architecture(
    config: ModelConfig,
    architectures: Sequence[Architecture] = tuple(ARCHITECTURES.values()),
    reader: str = "transformers",
) -> Architecture:
    """Return the class that holds a model whole.

    architectures: those that `reader` knows, a name for messages.

    Raises: ConfigError naming the settings that no class has, and what the nearest class asks for.
    """
    _require_gpt(config, reader)
    nearest = min(architectures, key=lambda arch: len(arch.broken_rules(config)))
    refuse_broken(config, nearest.rules, reader, nearest.class_name)
    return nearest


def refuse_broken(
    config: ModelConfig, rules: Sequence[Rule], reader: str, nearest: str | None = None
) -> None:
    """Make sure that a model keeps all rules.

    Raises: ConfigError with a line for each setting that does not: its value, and what would do.
    """
    _require_gpt(config, reader)
    of_nearest = f" ({nearest})" if nearest else ""
    lines = [
        f"model.{rule.setting}: {_shown(setting(config, rule.setting))} cannot be exported to {reader};"
        f" the nearest that can{of_nearest}: {rule.allowed}"
        for rule in rules
        if not rule.holds(config)
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _require_gpt(config: ModelConfig, reader: str) -> None:
    if not isinstance(config, ModelConfig):  # a lower rung of the ladder
        raise ConfigError(f"model.name: {config.name} cannot be exported to {reader}; gpt can")
