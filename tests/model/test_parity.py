"""The same random weights in gptkit and in transformers give the same logits.

The maps below are the whole difference between the two: names, the fused query/key/value matrix
and, for GPT-2, the transposed weights of its Conv1D layers.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from gptkit.model import GPT, ModelConfig
from tests.model.variants import randomise

GPT2_SHAPES = [
    {"n_layer": 1, "n_head": 3, "n_embd": 33, "context_length": 17},
    {"n_layer": 3, "n_head": 5, "n_embd": 35, "context_length": 9},
    {"n_layer": 2, "n_head": 1, "n_embd": 7, "context_length": 31},
]
MODERN_SHAPES: list[dict[str, Any]] = [
    {"n_layer": 1, "n_head": 3, "n_embd": 30, "context_length": 17},
    {"n_layer": 3, "n_head": 6, "n_embd": 42, "attention": {"n_kv_head": 2, "head_dim": 10}},
    {"n_layer": 2, "n_head": 5, "n_embd": 15, "attention": {"n_kv_head": 1, "head_dim": 14}},
]
VOCAB_SIZE = 37


@pytest.mark.parametrize("shape", GPT2_SHAPES)
def test_the_gpt2_preset_is_gpt2(shape: dict[str, Any]) -> None:
    config = ModelConfig.model_validate({"preset": "gpt2", **shape})
    model = randomise(GPT(config, VOCAB_SIZE)).eval()
    reference = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCAB_SIZE,
            n_positions=config.context_length,
            n_embd=config.n_embd,
            n_layer=config.n_layer,
            n_head=config.n_head,
        )
    ).eval()

    load(reference, gpt2_weights(model))

    assert_same_logits(model, reference, tolerance=1e-4)


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("shape", MODERN_SHAPES)
def test_the_modern_preset_is_qwen3(shape: dict[str, Any], tie_embeddings: bool) -> None:
    model = modern_model(shape, tie_embeddings, qk_norm=True)
    settings = transformers.Qwen3Config(**modern_settings(model))
    reference = transformers.Qwen3ForCausalLM(settings).eval()

    load(reference, modern_weights(model))

    assert_same_logits(model, reference, tolerance=1e-5)


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("shape", MODERN_SHAPES)
def test_the_modern_preset_without_qk_norm_is_llama(
    shape: dict[str, Any], tie_embeddings: bool
) -> None:
    model = modern_model(shape, tie_embeddings, qk_norm=False)
    settings = transformers.LlamaConfig(**modern_settings(model))
    reference = transformers.LlamaForCausalLM(settings).eval()

    load(reference, modern_weights(model))

    assert_same_logits(model, reference, tolerance=1e-5)


def modern_model(shape: dict[str, Any], tie_embeddings: bool, *, qk_norm: bool) -> GPT:
    attention = {**shape.get("attention", {}), "qk_norm": qk_norm}
    settings = {**shape, "attention": attention, "tie_embeddings": tie_embeddings}
    config = ModelConfig.model_validate(
        {"context_length": 23, "positions": {"theta": 5_000.0}, **settings}
    )
    model = GPT(config, VOCAB_SIZE).eval()
    randomise(model)
    with torch.no_grad():  # logits of order 1, where a tolerance of 1e-5 means something
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model


def modern_settings(model: GPT) -> dict[str, Any]:
    config, attention = model.config, model.blocks[0].attention
    theta = config.positions.theta
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": config.n_embd,
        "intermediate_size": model.blocks[0].mlp.down_proj.in_features,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": attention.n_kv_head,
        "head_dim": attention.head_dim,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": 1e-6,
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "tie_word_embeddings": config.tie_embeddings,
        "attention_bias": False,
    }


def modern_weights(model: GPT) -> Iterator[tuple[str, Tensor]]:
    yield "model.embed_tokens.weight", model.token_embedding.weight
    yield "model.norm.weight", model.final_norm.weight
    head = model.token_embedding if model.config.tie_embeddings else model.lm_head
    yield "lm_head.weight", head.weight
    for index, block in enumerate(model.blocks):
        layer, attention = f"model.layers.{index}", block.attention
        yield f"{layer}.input_layernorm.weight", block.attention_norm.weight
        yield f"{layer}.post_attention_layernorm.weight", block.mlp_norm.weight
        widths = [n * attention.head_dim for n in (attention.n_head, *[attention.n_kv_head] * 2)]
        for name, weight in zip("qkv", attention.qkv_proj.weight.split(widths), strict=True):
            yield f"{layer}.self_attn.{name}_proj.weight", weight
        yield f"{layer}.self_attn.o_proj.weight", attention.out_proj.weight
        if model.config.attention.qk_norm:
            yield f"{layer}.self_attn.q_norm.weight", attention.q_norm.weight
            yield f"{layer}.self_attn.k_norm.weight", attention.k_norm.weight
        for name in ("gate_proj", "up_proj", "down_proj"):
            yield f"{layer}.mlp.{name}.weight", getattr(block.mlp, name).weight


def gpt2_weights(model: GPT) -> Iterator[tuple[str, Tensor]]:
    yield "transformer.wte.weight", model.token_embedding.weight
    yield "transformer.wpe.weight", model.positions.embedding.weight
    yield "lm_head.weight", model.token_embedding.weight
    yield from norm_weights("transformer.ln_f", model.final_norm)
    for index, block in enumerate(model.blocks):
        layer = f"transformer.h.{index}"
        yield from norm_weights(f"{layer}.ln_1", block.attention_norm)
        yield from norm_weights(f"{layer}.ln_2", block.mlp_norm)
        for name, linear in {
            "attn.c_attn": block.attention.qkv_proj,
            "attn.c_proj": block.attention.out_proj,
            "mlp.c_fc": block.mlp.up_proj,
            "mlp.c_proj": block.mlp.down_proj,
        }.items():
            yield f"{layer}.{name}.weight", linear.weight.T
            yield f"{layer}.{name}.bias", linear.bias


def norm_weights(name: str, norm: nn.LayerNorm) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", norm.weight
    yield f"{name}.bias", norm.bias


def load(reference: nn.Module, weights: Iterator[tuple[str, Tensor]]) -> None:
    """Fill all of `reference`: a name that is missing or left over is an error."""
    reference.load_state_dict(dict(weights), strict=True)


@torch.no_grad()
def assert_same_logits(model: GPT, reference: nn.Module, *, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (3, model.config.context_length)
    tokens = torch.randint(model.vocab_size, shape, generator=generator)

    logits, expected = model(tokens), reference(tokens).logits

    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, atol=tolerance, rtol=0)
