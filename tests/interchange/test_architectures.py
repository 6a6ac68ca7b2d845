from __future__ import annotations

from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import choose_architecture
from gptkit.interchange.vllm import vllm_notes
from gptkit.model import ModelConfig


def config(**settings: Any) -> ModelConfig:
    return ModelConfig.model_validate({"n_layer": 1, "n_head": 4, "n_embd": 32, **settings})


@pytest.mark.parametrize(
    ("settings", "class_name"),
    [
        ({}, "Qwen3ForCausalLM"),
        ({"attention": {"qk_norm": False}}, "LlamaForCausalLM"),
        ({"attention": {"qk_norm": False}, "bias": True}, "LlamaForCausalLM"),
        ({"attention": {"qk_norm": False}, "mlp": {"name": "relu2"}}, "ArceeForCausalLM"),
        ({"attention": {"qk_norm": False}, "mlp": {"name": "gelu"}}, "ArceeForCausalLM"),
        ({"preset": "gpt2"}, "GPT2LMHeadModel"),
        ({"preset": "gpt2", "bias": False, "mlp": {"name": "relu"}}, "GPT2LMHeadModel"),
        ({"attention": {"window": 256}}, "Qwen3ForCausalLM"),
    ],
)
def test_each_shape_has_its_stock_class(settings: dict[str, Any], class_name: str) -> None:
    assert choose_architecture(config(**settings)).class_name == class_name


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"logit_softcap": 15.0}, r"model.logit_softcap: 15.0 .*Qwen3ForCausalLM\): null"),
        ({"attention": {"window": 8}}, r"model.attention.window: 8 .*: null"),
        ({"embedding_window": 2}, r"model.embedding_window: 2 .*: 1"),
        ({"mlp": {"name": "relu2"}}, r"model.mlp.name: relu2 .*\(Qwen3ForCausalLM\): swiglu"),
        ({"bias": True}, r"model.bias: true .*\(Qwen3ForCausalLM\): false"),
        ({"positions": {"name": "none"}}, r"model.positions.name: none .*: rotary"),
        (
            {"preset": "gpt2", "positions": {"name": "sinusoidal"}},
            r"sinusoidal .*GPT2LMHeadModel\): learned",
        ),
        (
            {"preset": "gpt2", "attention": {"n_kv_head": 2}},
            r"model.attention.n_kv_head: 2 .*: null",
        ),
        ({"preset": "gpt2", "attention": {"head_dim": 4}}, r"model.attention.head_dim: 4 .*: null"),
        ({"norm": "layer_norm"}, r"model.norm: layer_norm .*: rms_norm"),
    ],
)
def test_a_setting_that_no_class_has_is_refused_with_the_nearest_that_can(
    settings: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        choose_architecture(config(**settings))


def test_every_setting_in_the_way_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        choose_architecture(config(preset="speedrun"))

    assert {line.split(":")[0] for line in str(error.value).splitlines()} >= {
        "model.embedding_window",
        "model.ngram_rows",
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_embd": 256}, []),
        ({"preset": "gpt2", "n_embd": 256}, []),
        ({}, ["these have 8"]),
        (
            {"n_embd": 256, "attention": {"qk_norm": False}, "mlp": {"name": "gelu"}},
            ["relu2 only, not gelu"],
        ),
        ({"n_embd": 256, "preset": "gpt2", "tie_embeddings": False}, ["older versions"]),
    ],
)
def test_what_vllm_cannot_serve_is_noted(settings: dict[str, Any], words: list[str]) -> None:
    model = config(**settings)

    notes = vllm_notes(choose_architecture(model), model)

    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))
