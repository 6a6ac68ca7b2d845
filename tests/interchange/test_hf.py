"""Folders for transformers, and models from them. The long form: benchmarks/interchange.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from gptkit.interchange.hf import read_folder, write_folder
from gptkit.interchange.hf_proof import against_original, load_with_transformers, logits_of
from gptkit.interchange.probes import probe_tokens
from gptkit.interchange.proof import require
from gptkit.model import GPT
from gptkit.tokenizers.base import Tokenizer
from tests.interchange.conftest import random_model

NO_QK_NORM = {"qk_norm": False}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("llama3", {"positions": {"theta": 5_000.0}}),
    "qwen3_grouped": ("qwen2", {"attention": {"n_kv_head": 2, "head_dim": 6}, "norm_eps": 1e-3}),
    "qwen3_untied": ("char", {"attention": {"n_kv_head": 1}, "tie_embeddings": False}),
    "llama": ("gpt2", {"attention": NO_QK_NORM, "dropout": 0.1}),
    "llama_biases": ("llama3", {"attention": {**NO_QK_NORM, "n_kv_head": 2}, "bias": True}),
    "llama_untied": ("char", {"attention": NO_QK_NORM, "tie_embeddings": False}),
    "arcee_relu2": ("llama3", {"attention": NO_QK_NORM, "mlp": {"name": "relu2"}}),
    "arcee_gelu": (
        "qwen2",
        {"attention": NO_QK_NORM, "mlp": {"name": "gelu_tanh", "width": 40}, "bias": True},
    ),
    "gpt2": ("gpt2", {"preset": "gpt2"}),
    "gpt2_untied": ("char", {"preset": "gpt2", "tie_embeddings": False, "mlp": {"name": "relu"}}),
    "gpt2_no_biases": ("gpt2", {"preset": "gpt2", "bias": False, "mlp": {"name": "gelu"}}),
}


@pytest.fixture(params=SHAPES)
def written(
    request: pytest.FixtureRequest, tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> tuple[Path, GPT, Tokenizer]:
    """A folder of each shape with the model and the tokenizer that it was written from."""
    kind, settings = SHAPES[request.param]
    model = random_model(tokenizers[kind], **settings)
    write_folder(tmp_path, model.config, model.state_dict(), tokenizers[kind], card="")
    return tmp_path, model, tokenizers[kind]


def test_transformers_computes_the_same_logits_and_misses_no_key(
    written: tuple[Path, GPT, Tokenizer],
) -> None:
    folder, model, tokenizer = written
    tokens = probe_tokens(tokenizer.vocab_size, model.config.context_length)

    loaded, info = load_with_transformers(folder)
    difference = (logits_of(loaded, tokens) - logits_of(model, tokens)).abs().max()

    assert not any(found for key, found in info.items() if key.endswith("_keys"))
    assert difference <= (1e-4 if "GPT2" in type(loaded).__name__ else 1e-5)
    assert logits_of(model, tokens).std() > 0.1


def test_an_export_comes_back_bit_for_bit(written: tuple[Path, GPT, Tokenizer]) -> None:
    folder, model, tokenizer = written

    found = read_folder(folder)

    weights = model.state_dict()
    assert found.weights.keys() == weights.keys()
    assert all(torch.equal(found.weights[name], weight) for name, weight in weights.items())
    assert GPT(found.config, found.vocab_size)(torch.zeros(1, 1, dtype=torch.int64)).shape
    assert found.config.dropout == model.config.dropout
    assert found.tokenizer is not None
    assert found.tokenizer.to_json() == tokenizer.to_json()


def test_transformers_stops_where_a_document_ends(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = random_model(tokenizers["llama3"])
    write_folder(tmp_path, model.config, model.state_dict(), tokenizers["llama3"], card="")

    settings = transformers.GenerationConfig.from_pretrained(tmp_path)

    assert settings.eos_token_id == tokenizers["llama3"].end_of_text


def test_a_file_in_bfloat16_says_so_and_holds_rounded_weights(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = random_model(tokenizers["char"])

    write_folder(
        tmp_path, model.config, model.state_dict(), tokenizers["char"], dtype="bfloat16", card=""
    )

    found = read_folder(tmp_path)
    weight = "token_embedding.weight"
    assert found.dtype == "bfloat16"
    assert torch.equal(found.weights[weight], model.state_dict()[weight].bfloat16().float())
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    assert getattr(config, name) == torch.bfloat16


def test_a_tokenizer_that_composes_characters_is_compared_on_composed_text(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    """Qwen3's does. An added token that is not special is text here, and compared as text."""
    tokenizer = tokenizers["qwen2"]
    model = random_model(tokenizer)
    write_folder(tmp_path, model.config, model.state_dict(), tokenizer, card="")
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    end = {"id": tokenizer.end_of_text, "content": "<|endoftext|>", "special": False}
    habits = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data |= {"normalizer": {"type": "NFC"}, "added_tokens": [end | habits]}
    path.write_text(json.dumps(data), encoding="utf-8")

    comparisons = against_original(tmp_path, model, read_folder(tmp_path).tokenizer)

    require(comparisons)
    assert [comparison.what for comparison in comparisons][1:] == ["tokenizers: tokenizer.json"]
