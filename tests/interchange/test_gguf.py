"""Files for llama.cpp. The long form: benchmarks/interchange.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.interchange import extras
from gptkit.interchange.gguf import TYPES, gguf_architecture, rounded_weights, write_gguf
from gptkit.interchange.gguf_proof import TOLERANCES, ask_llama_cpp, read_back, with_llama_cpp
from gptkit.interchange.gguf_tokenizer import tokenizer_keys
from gptkit.interchange.proof import ProofError, require
from gptkit.model import GPT, ModelConfig
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.patterns import GPT2_DIGITS
from tests.interchange.conftest import random_model

pytest.importorskip("gguf", reason="GGUF is written with the package gguf (gptkit[gguf])")
llama_cpp = pytest.mark.skipif(
    extras.find_spec("xllamacpp") is None,
    reason="llama.cpp comes with the package xllamacpp (gptkit[llama])",
)
NO_QK_NORM = {"qk_norm": False}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3": ("llama3", {"positions": {"theta": 5_000.0}, "attention": {"n_kv_head": 2}}),
    "qwen3_untied": ("char", {"tie_embeddings": False, "attention": {"head_dim": 32}}),
    "llama": ("qwen2", {"attention": {**NO_QK_NORM, "n_kv_head": 2}}),
    "llama_biases": ("gpt2", {"attention": {**NO_QK_NORM, "n_kv_head": 1}, "bias": True}),
    "arcee": ("llama3", {"attention": NO_QK_NORM, "mlp": {"name": "relu2"}}),
    "gpt2": ("gpt2", {"preset": "gpt2"}),
    "gpt2_untied": ("char", {"preset": "gpt2", "tie_embeddings": False, "bias": False}),
}


def write(folder: Path, model: GPT, tokenizer: Tokenizer, number_type: str) -> tuple[Path, GPT]:
    """Return a written file and a model with its weights as they are in the file."""
    path = folder / "model.gguf"
    weights = model.state_dict()
    write_gguf(path, model.config, weights, tokenizer, number_type=number_type, name="a test")
    copy = GPT(model.config, model.vocab_size).eval()
    copy.load_state_dict(rounded_weights(weights, number_type))
    return path, copy


@llama_cpp
@pytest.mark.parametrize("number_type", ["f32", "f16", "q8_0"])
@pytest.mark.parametrize("shape", SHAPES)
def test_llama_cpp_computes_the_same(
    shape: str, number_type: str, tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    kind, settings = SHAPES[shape]
    path, model = write(
        tmp_path, random_model(tokenizers[kind], **settings), tokenizers[kind], number_type
    )

    found = with_llama_cpp(path, model, tokenizers[kind], tolerance=TOLERANCES[number_type])

    assert found is not None
    require([*found, *read_back(path, model, tokenizers[kind])])
    assert found[0].largest <= TOLERANCES[number_type]


@llama_cpp
def test_bfloat16_of_several_layers_is_near_enough(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    """llama.cpp rounds to bfloat16 what such a matrix is multiplied with: 0.03 here, and no mistake."""
    model = random_model(tokenizers["gpt2"], n_layer=6, n_embd=128)
    model.init_weights(0)
    for weight in model.parameters():
        weight.data.mul_(1.5 if weight.ndim == 2 else 1.0)
    path, rounded = write(tmp_path, model, tokenizers["gpt2"], "bf16")

    found = with_llama_cpp(path, rounded, tokenizers["gpt2"], tolerance=TOLERANCES["bf16"])

    assert found is not None
    require(found)


@llama_cpp
@pytest.mark.parametrize("kind", ["llama3", "gpt2", "qwen2", "digits", "char"])
def test_llama_cpp_cuts_every_text_alike(
    kind: str, tokenizers: dict[str, Tokenizer], fuzz_texts: list[str], tmp_path: Path
) -> None:
    whole = tokenizers["gpt2"]
    assert isinstance(whole, BPETokenizer)
    digits = BPETokenizer(whole.tokens, pattern=GPT2_DIGITS, special_tokens=whole.special_tokens)
    tokenizer = digits if kind == "digits" else tokenizers[kind]
    characters = getattr(tokenizer, "characters", None)
    texts = [
        "".join(c for c in text if characters is None or c in characters) for text in fuzz_texts
    ]
    path, _ = write(tmp_path, random_model(tokenizer), tokenizer, "f16")

    answer = ask_llama_cpp(path, [], texts, tokenizer)

    assert answer["tokens"] == [tokenizer.encode(text) for text in texts]


@pytest.mark.parametrize("number_type", TYPES)
def test_a_file_is_read_back_as_it_was_rounded(
    number_type: str, tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    path, model = write(tmp_path, random_model(tokenizers["gpt2"]), tokenizers["gpt2"], number_type)

    require(read_back(path, model, tokenizers["gpt2"]))


def test_rows_that_only_pad_the_vocabulary_are_left_out(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    whole = tokenizers["gpt2"]
    assert isinstance(whole, BPETokenizer)
    padded = BPETokenizer(
        [*whole.tokens, *[None] * 9], pattern="gpt2", special_tokens=whole.special_tokens
    )
    path, model = write(tmp_path, random_model(padded), padded, "f32")

    comparisons = read_back(path, model, padded) + (
        with_llama_cpp(path, model, padded, tolerance=1e-2) or []
    )

    require(comparisons)
    assert comparisons[1].count == f"{whole.vocab_size} rows"


@llama_cpp
def test_a_file_that_llama_cpp_does_not_take_is_an_error_with_its_reason(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    path, _ = write(tmp_path, random_model(tokenizers["gpt2"]), tokenizers["gpt2"], "f32")
    path.write_bytes(path.read_bytes()[:-4000])

    with pytest.raises(ProofError, match=r"llama\.cpp does not take it"):
        ask_llama_cpp(path, [[1]], [], tokenizers["gpt2"])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"preset": "gpt2", "mlp": {"name": "gelu"}}, r"mlp.name: gelu .*GGUF.*gelu_tanh"),
        ({"attention": NO_QK_NORM, "mlp": {"name": "relu"}}, r"mlp.name: relu .*"),
        ({"logit_softcap": 15.0}, r"logit_softcap"),
    ],
)
def test_what_llama_cpp_does_not_have_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        gguf_architecture(ModelConfig.model_validate(settings))


def test_a_private_split_pattern_is_refused(tokenizers: dict[str, Tokenizer]) -> None:
    whole = tokenizers["gpt2"]
    assert isinstance(whole, BPETokenizer)
    own = BPETokenizer(whole.tokens, pattern=r"\s+|\S+", special_tokens=whole.special_tokens)

    with pytest.raises(ConfigError, match=r"data.tokenizer.pattern.*llama3, gpt2, qwen2"):
        tokenizer_keys(own)


def test_rounding_leaves_vectors_and_positions_alone(tokenizers: dict[str, Tokenizer]) -> None:
    weights = random_model(tokenizers["gpt2"], preset="gpt2").state_dict()

    rounded = rounded_weights(weights, "q8_0")

    same = {name for name in weights if torch.equal(weights[name], rounded[name])}
    assert same == {n for n, w in weights.items() if w.ndim == 1} | {"positions.embedding.weight"}
