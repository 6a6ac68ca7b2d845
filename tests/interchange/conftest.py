"""Small models of every shape that can be exported, and tokenizers for them."""

from __future__ import annotations

import random
import unicodedata
from typing import Any

import pytest

from gptkit.model import GPT, ModelConfig
from gptkit.tokenizers import bpe, char
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import BPEConfig, CharConfig
from gptkit.tokenizers.patterns import PATTERNS
from tests.model.variants import randomise

TEXT = (
    "def read(path):\n    return path.read_text()  # the whole text, 12345 bytes\n\n\n"
    "汉字和标点，还有空格。 Größe naïve don't DON'T 🙂👩\u200d🚀 \t x\r\n"
) * 30


def random_model(tokenizer: Tokenizer, seed: int = 0, **settings: Any) -> GPT:
    """Return a small model whose weights, norms and biases are all random; logits of order 1."""
    shape = {"n_layer": 2, "n_head": 4, "n_embd": 32, "context_length": 24}
    config = ModelConfig.model_validate({**shape, **settings})
    model = randomise(GPT(config, tokenizer.vocab_size), seed).eval()
    for parameter in model.parameters():
        parameter.data.mul_(0.5)
    return model


def make_bpe(pattern: str = "llama3", vocab_size: int = 400, text: str = TEXT) -> BPETokenizer:
    return bpe.train(
        BPEConfig.model_validate({"vocab_size": vocab_size, "pattern": pattern}),
        lambda: [text],
        total_bytes=len(text),
        progress=lambda num_bytes: None,
    )


def make_char(text: str = TEXT) -> Tokenizer:
    return char.train(CharConfig(), lambda: [text], total_bytes=0, progress=lambda num_bytes: None)


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    """A trained tokenizer for each split pattern, and a char tokenizer."""
    return {name: make_bpe(name) for name in PATTERNS} | {"char": make_char()}


@pytest.fixture(scope="session")
def fuzz_texts() -> list[str]:
    """500 strings: any assigned code points, white space, digits, the text of special tokens."""
    generator = random.Random(7)
    assigned = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    alphabets = [
        assigned,
        [*"aB é汉字ß\u0301'’sStTlLdDrReEvVmM"],
        [*" \t\n\r\x0b\x0c\x85\xa0\u2003\u3000\u200b\ufeff"],
        [*"0123456789٣Ⅷ½x. \n/,-"],
        ["<|endoftext|>", "<|", "|>", " ", "🙂", "\x00"],
    ]
    return [
        "".join(
            "".join(generator.choices(alphabet, k=generator.randint(0, 9)))
            for alphabet in generator.choices(alphabets, k=generator.randint(1, 6))
        )
        for _ in range(500)
    ]
