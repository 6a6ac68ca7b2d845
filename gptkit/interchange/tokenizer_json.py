"""tokenizer.json and tokenizer_config.json as Hugging Face writes them, from a tokenizer and back.

A ranked list of byte strings (tiktoken's way) becomes merges: joining the parts of a token by
the rules of all earlier ones leaves exactly two, which are its merge. Bytes are written as GPT-2's
printable characters. A special token stands in the vocabulary and nowhere else, so that its text in
a user's input stays text, as in gptkit.

A char tokenizer is a WordLevel model behind a split into characters: a character it does not know
is an error there too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gptkit.interchange.chat import added_tokens, chat_format
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.patterns import PATTERNS

CHARACTER = r"[\s\S]"
_NO_UNKNOWN = ""
"""WordLevel wants a token for the unknown; naming one that is not there makes unknowns an error."""


@cache
def byte_characters() -> str:
    """Return the 256 printable characters that stand for the bytes 0 to 255.

    Bytes that print stand for themselves, the others for the code points from 256 on.

    Reference: GPT-2, "Language Models are Unsupervised Multitask Learners", section 2.2.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [value for value in range(256) if value not in printable]
    codes = {value: value for value in printable}
    codes |= {value: 256 + i for i, value in enumerate(others)}
    return "".join(chr(codes[value]) for value in range(256))


def printable(token: bytes) -> str:
    """Return a byte string as byte-level tokenizers write it: b" hi" -> "Ġhi"."""
    characters = byte_characters()
    return "".join(characters[value] for value in token)


def vocabulary(tokenizer: BPETokenizer) -> list[str]:
    """Return (V,) the name of each id: printable bytes, a special token's name, [unused5]."""
    names = [f"[unused{i}]" if t is None else printable(t) for i, t in enumerate(tokenizer.tokens)]
    for name, token in tokenizer.special_tokens.items():
        names[token] = name
    return names


def merges(tokens: Sequence[bytes | None]) -> list[tuple[bytes, bytes]]:
    """Return the merges, in the order of their ids, that make the byte strings of a ranked list.

    A token that no two earlier ones make is in no text of tiktoken's but as a whole word; there is no
    merge for it.
    """
    ranks = {token: rank for rank, token in enumerate(tokens) if token is not None}
    found = []
    for rank, token in enumerate(tokens):
        if token is not None and len(token) > 1:
            parts = _joined(token, ranks, below=rank)
            if len(parts) == 2:
                found.append((parts[0], parts[1]))
    return found


def _joined(token: bytes, ranks: Mapping[bytes, int], *, below: int) -> list[bytes]:
    """Return the parts that byte-pair encoding with the ranks under `below` leaves of a token."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 1:
        pairs = [ranks.get(a + b, below) for a, b in itertools.pairwise(parts)]
        best = min(pairs)
        if best >= below:
            break
        place = pairs.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def to_tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return tokenizer.json for the library `tokenizers`."""
    parts = _char_parts if isinstance(tokenizer, CharTokenizer) else _bpe_parts
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(tokenizer),
        "normalizer": None,
        "post_processor": None,
        **parts(tokenizer),
    }


def to_tokenizer_config(tokenizer: Tokenizer, context_length: int) -> dict[str, Any]:
    """Return tokenizer_config.json.

    The class is named: transformers 5 would put a pre-tokenizer of its own in the place of ours for a
    model_type that it knows. split_special_tokens: special text in a user's input stays text, but for
    a model that chats: transformers renders a template as text and has to find its tokens there.
    """
    end = end_of_text_name(tokenizer)
    special = {} if end is None else dict.fromkeys(("bos_token", "eos_token", "pad_token"), end)
    chat = chat_format(tokenizer)
    if chat is not None:
        special |= {**chat.names, "chat_template": chat.template}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": chat is None,
        **special,
    }


def end_of_text_name(tokenizer: Tokenizer) -> str | None:
    """Return the name of the token between documents; None where there is none."""
    if not isinstance(tokenizer, BPETokenizer) or tokenizer.end_of_text is None:
        return None
    names = {token: name for name, token in tokenizer.special_tokens.items()}
    return names[tokenizer.end_of_text]


def _bpe_parts(tokenizer: Tokenizer) -> dict[str, Any]:
    assert isinstance(tokenizer, BPETokenizer)
    # tiktoken's {1,3}+ takes its three and gives none back; Oniguruma would take the next three too.
    pattern = PATTERNS.get(tokenizer.pattern, tokenizer.pattern).replace("{1,3}+", "{1,3}")
    pairs = merges(tokenizer.tokens)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                _split(pattern),
                {**byte_level, "use_regex": False},
            ],
        },
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            # tiktoken takes a word that is a token as it is, whether merges lead to it or not.
            "ignore_merges": len(pairs) < sum(len(t or b"") > 1 for t in tokenizer.tokens),
            "vocab": {name: token for token, name in enumerate(vocabulary(tokenizer))},
            "merges": [f"{printable(a)} {printable(b)}" for a, b in pairs],
        },
    }


def _char_parts(tokenizer: Tokenizer) -> dict[str, Any]:
    assert isinstance(tokenizer, CharTokenizer)
    return {
        "pre_tokenizer": _split(CHARACTER),
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {char: token for token, char in enumerate(tokenizer.characters)},
            "unk_token": _NO_UNKNOWN,
        },
    }


def _split(pattern: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
