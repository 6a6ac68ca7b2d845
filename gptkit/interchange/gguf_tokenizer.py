"""A tokenizer as llama.cpp knows it.

byte-level BPE    model "gpt2", with the name of a pre-tokenizer: llama.cpp has a fixed list
characters        model "rwkv", which takes the longest token that fits: here always one character
"""

from __future__ import annotations

from dataclasses import dataclass

from gptkit.errors import ConfigError
from gptkit.interchange.chat import stop_ids
from gptkit.interchange.tokenizer_json import merges, printable, vocabulary
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.patterns import GPT2, GPT2_DIGITS, LLAMA3, PATTERNS, QWEN2

_PRE = {GPT2: "gpt-2", GPT2_DIGITS: "smollm", LLAMA3: "llama-bpe", QWEN2: "qwen2"}
# tiktoken spells the same cuts otherwise.
_PRE_OF_ENCODING = {
    "gpt2": "gpt-2",
    "r50k_base": "gpt-2",
    "p50k_base": "gpt-2",
    "p50k_edit": "gpt-2",
    "cl100k_base": "llama-bpe",
    "o200k_base": "gpt-4o",
}
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5


@dataclass(frozen=True)
class TokenizerKeys:
    """What a GGUF file says about its tokenizer."""

    model: str
    pre: str | None
    tokens: list[str]
    types: list[int]
    merges: list[str]
    end_of_text: int | None
    chat_template: str | None = None
    end_of_turn: int | None = None
    """What ends an answer; llama.cpp stops there."""


def num_tokens(tokenizer: Tokenizer) -> int:
    """Return the ids that stand for something: those after them only pad the embedding."""
    if not isinstance(tokenizer, BPETokenizer):
        return tokenizer.vocab_size
    used = [i for i, token in enumerate(tokenizer.tokens) if token is not None]
    return max([*used, *tokenizer.special_tokens.values()]) + 1


def tokenizer_keys(tokenizer: Tokenizer) -> TokenizerKeys:
    """Return the keys of a tokenizer.

    Raises: ConfigError for a split pattern that llama.cpp does not have.
    """
    if isinstance(tokenizer, CharTokenizer):
        return _characters(tokenizer)
    assert isinstance(tokenizer, BPETokenizer)
    count = num_tokens(tokenizer)
    chat = tokenizer.chat
    types = [_UNUSED if token is None else _NORMAL for token in tokenizer.tokens[:count]]
    for token in tokenizer.special_tokens.values():
        types[token] = _CONTROL
    return TokenizerKeys(
        model="gpt2",
        pre=_pre_tokenizer(tokenizer),
        tokens=vocabulary(tokenizer)[:count],
        types=types,
        merges=[f"{printable(a)} {printable(b)}" for a, b in merges(tokenizer.tokens)],
        end_of_text=tokenizer.end_of_text,
        chat_template=None if chat is None else chat.template,
        end_of_turn=None if chat is None else next(iter(stop_ids(tokenizer)), None),
    )


def _pre_tokenizer(tokenizer: BPETokenizer) -> str:
    pattern = PATTERNS.get(tokenizer.pattern, tokenizer.pattern)
    found = _PRE.get(pattern) or _PRE_OF_ENCODING.get(tokenizer.encoding_name or "")
    if found is None:
        raise ConfigError(
            "data.tokenizer.pattern: llama.cpp does not have this split pattern; the nearest that can:"
            f" {', '.join(PATTERNS)}"
        )
    return found


def _characters(tokenizer: CharTokenizer) -> TokenizerKeys:
    # Python's notation of bytes is what llama.cpp reads back here: "\n" is a backslash and an n.
    tokens = [repr(char.encode())[2:-1] for char in tokenizer.characters]
    return TokenizerKeys(
        model="rwkv",
        pre=None,
        tokens=tokens,
        types=[_NORMAL] * len(tokens),
        merges=[],
        end_of_text=None,
    )
