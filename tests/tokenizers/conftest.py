"""Texts and trained tokenizers that the tests of this room share."""

from __future__ import annotations

import random
import sysconfig
import unicodedata
from pathlib import Path

import pytest

from gptkit.tokenizers import bpe, char
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import BPEConfig, CharConfig
from gptkit.tokenizers.patterns import PATTERNS

_STDLIB_CHARACTERS = 2_000_000


@pytest.fixture(scope="session")
def stdlib_text() -> str:
    """Two million characters of Python source, from the interpreter that runs the tests."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts: list[str] = []
    length = 0
    for path in sorted(folder.glob("*.py")):
        texts.append(path.read_bytes().decode())
        length += len(texts[-1])
        if length > _STDLIB_CHARACTERS:
            break
    return "".join(texts)[:_STDLIB_CHARACTERS]


@pytest.fixture(scope="session")
def fuzz_texts() -> list[str]:
    """2,000 strings of assigned code points: any, and those that split patterns treat apart."""
    generator = random.Random(1)
    assigned = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    alphabets = [
        assigned,
        [*"aB é汉字ß\u0301'’sStTlLdDrReEvVmMſK"],
        [*" \t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u3000\u200b\ufeff"],
        [*"0123456789٣Ⅷ½x. \n/,-"],
        [*"🙂👩\u200d🚀\ufe0f🏳🇫🇷 。，！？a\x00<|endoftext|>"],
    ]
    texts = []
    for _ in range(2000):
        runs = generator.choices(alphabets, k=generator.randint(1, 6))
        texts.append(
            "".join("".join(generator.choices(run, k=generator.randint(0, 9))) for run in runs)
        )
    return texts


@pytest.fixture(scope="session")
def bpe_tokenizers(stdlib_text: str) -> dict[str, BPETokenizer]:
    """A trained tokenizer for each split pattern."""
    text = stdlib_text[:500_000] + "汉字和标点，还有空格。 Größe don't DON'T 12345\r\n\r\n" * 50
    return {
        name: bpe.train(
            BPEConfig.model_validate({"vocab_size": 2000, "pattern": name}),
            lambda: [text],
            total_bytes=len(text),
            progress=lambda num_bytes: None,
        )
        for name in PATTERNS
    }


@pytest.fixture(scope="session", params=["char", *PATTERNS])
def tokenizer(
    request: pytest.FixtureRequest, bpe_tokenizers: dict[str, BPETokenizer], fuzz_texts: list[str]
) -> Tokenizer:
    """Each kind of tokenizer in turn; char knows every character of the fuzz texts."""
    if request.param != "char":
        return bpe_tokenizers[request.param]
    return char.train(
        CharConfig(), lambda: fuzz_texts, total_bytes=0, progress=lambda num_bytes: None
    )
