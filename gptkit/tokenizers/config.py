"""Settings of the tokenizers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gptkit.section import Choices, PathText, PositiveInt, Section, number


class CharConfig(Section):
    """One token per character of the text; no end-of-text token."""

    name: Literal["char"] = "char"


class BPEConfig(Section):
    """Byte-level byte-pair encoding, trained on the training split."""

    name: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, BeforeValidator(number), Field(ge=257, le=1_000_000)] = 4096
    """Token ids in all: 256 bytes, the merges and the end-of-text token."""
    pattern: Literal["llama3", "gpt2", "qwen2"] = "llama3"
    """How text is cut before merging; the names that llama.cpp and Hugging Face know."""
    train_bytes: PositiveInt = 100_000_000
    """Text to learn merges from, spread evenly over a longer corpus, in bytes."""


class TiktokenConfig(Section):
    """A published encoding by its tiktoken name."""

    name: Literal["tiktoken"] = "tiktoken"
    encoding: str = "gpt2"
    """gpt2, r50k_base, p50k_base, cl100k_base, o200k_base, ..."""


class FileConfig(Section):
    """A tokenizer that was made before: that of another run, or of `gptkit tokenizer train`."""

    name: Literal["file"] = "file"
    path: PathText
    """The tokenizer.json of a checkpoint, or any other of gptkit's."""


TOKENIZERS = Choices(
    "tokenizer",
    {
        CharConfig: "gptkit.tokenizers.char:train",
        BPEConfig: "gptkit.tokenizers.bpe:train",
        TiktokenConfig: "gptkit.tokenizers.published:train",
        FileConfig: "gptkit.tokenizers.store:train",
    },
    default="bpe",
)
