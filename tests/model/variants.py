"""Tiny models of every variant, with weights that leave nothing at its first value."""

from typing import Any

import torch

from gptkit.model import GPT, ModelConfig

VOCAB_SIZE = 11
CONTEXT_LENGTH = 12

VARIANTS: dict[str, dict[str, Any]] = {
    "modern": {},
    "gpt2": {"preset": "gpt2"},
    "speedrun": {"preset": "speedrun"},
    "grouped": {"attention": {"n_kv_head": 2}},
    "multi_query": {"attention": {"n_kv_head": 1}},
    "wide_heads": {"attention": {"n_kv_head": 2, "head_dim": 6}},
    "no_qk_norm": {"attention": {"qk_norm": False}},
    "window": {"attention": {"window": 3}},
    "window_of_one": {"attention": {"window": 1}},
    "grouped_window": {
        "attention": {"window": 4, "n_kv_head": 2},
        "positions": {"name": "learned"},
    },
    "learned": {"positions": {"name": "learned"}},
    "sinusoidal": {"positions": {"name": "sinusoidal"}},
    "no_positions": {"positions": {"name": "none"}},
    "gelu": {"mlp": {"name": "gelu"}},
    "relu": {"mlp": {"name": "relu", "width": 24}},
    "relu2": {"mlp": {"name": "relu2"}},
    "layer_norm": {"norm": "layer_norm", "bias": True},
    "softcap": {"logit_softcap": 2.0},
    "embedding_window": {"embedding_window": 3},
    "embedding_window_with_learned": {
        "embedding_window": 20,
        "positions": {"name": "learned"},
    },
    "ngrams": {"embedding_window": 3, "ngram_rows": 50},
    "untied": {"tie_embeddings": False},
    "checkpointed": {"activation_checkpointing": True},
}


def tiny_config(**settings: Any) -> ModelConfig:
    shape = {"n_layer": 2, "n_head": 4, "n_embd": 16, "context_length": CONTEXT_LENGTH}
    return ModelConfig.model_validate({**shape, **settings})


def tiny_model(seed: int = 0, **settings: Any) -> GPT:
    """Return a model in evaluation mode whose weights, norms and biases are all random."""
    return randomise(GPT(tiny_config(**settings), VOCAB_SIZE), seed).eval()


def randomise(model: GPT, seed: int = 0) -> GPT:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.4, generator=generator)
    return model


def random_tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_SIZE, shape, generator=generator)
