from __future__ import annotations

import random
from itertools import pairwise

import pytest
import regex
import tiktoken
import tiktoken_ext.openai_public

from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.patterns import PATTERNS
from gptkit.tokenizers.pieces import PIECE_LIMIT, split_pieces

CHINESE = "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？"
PUBLISHED = ["r50k_base", "cl100k_base", "o200k_base"]


def pattern_text(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return one of our patterns or, without its file, one of tiktoken's."""
    if name in PATTERNS:
        return PATTERNS[name]
    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda *args, **kwargs: {})
    text: str = tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS[name]()["pat_str"]
    return text


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_pieces_join_to_the_text_and_keep_the_limit(fuzz_texts: list[str], limit: int) -> None:
    pieces = list(split_pieces(fuzz_texts, limit))

    assert "".join(pieces) == "".join(fuzz_texts)
    assert max(map(len, pieces)) <= limit
    assert min(map(len, pieces)) > 0


def test_pieces_do_not_depend_on_the_chunks(fuzz_texts: list[str]) -> None:
    text = "".join(fuzz_texts)
    generator = random.Random(5)
    cuts = [0, *sorted(generator.sample(range(len(text)), 40)), len(text)]

    chunks = [text[start:end] for start, end in pairwise(cuts)]

    assert list(split_pieces(chunks, 300)) == list(split_pieces([text], 300))
    assert list(split_pieces(text, 300)) == list(split_pieces([text], 300))


@pytest.mark.parametrize("name", [*PATTERNS, *PUBLISHED])
def test_cutting_never_changes_the_words(
    name: str, fuzz_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces are just long enough to reach a safe place: the fuzz texts are joined by them."""
    find_words = regex.compile(pattern_text(name, monkeypatch)).findall
    texts = [f"{text}x{sign}y" for text in fuzz_texts for sign in ("\n", " ", "，", "/", "’")]
    text = "".join(text for text in texts if len(text) <= 60)

    words = [word for piece in split_pieces([text], 130) for word in find_words(piece)]

    assert words == find_words(text)


@pytest.mark.parametrize("name", PATTERNS)
def test_cutting_never_changes_the_tokens(
    name: str, bpe_tokenizers: dict[str, BPETokenizer], stdlib_text: str
) -> None:
    tokenizer = bpe_tokenizers[name]
    text = stdlib_text[:300_000] + CHINESE * 5_000 + "one line of words, " * 10_000
    whole = tiktoken.Encoding(
        "whole",
        pat_str=PATTERNS[name],
        mergeable_ranks={token: rank for rank, token in enumerate(tokenizer.tokens) if token},
        special_tokens={},
    )

    ids = tokenizer.encode(text)

    assert len(text) > 5 * PIECE_LIMIT
    assert ids == whole.encode_ordinary(text)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("ab\ncd\nef\n  gh", "ab\ncd\n"),
        ("ab cd ef g12345", "ab cd ef"),
        ("学而时习。不亦说乎123", "学而时习"),
        ("ab'cd'ef'gh'ij", "ab'cd'ef'"),
        ("a\n/b 1 2 3 4 5", "a\n/b 1 2 "),
        (" " * 14, " " * 9),
    ],
)
def test_a_piece_ends_at_the_last_safe_place(text: str, first: str) -> None:
    assert next(split_pieces([text], 9)) == first


def test_no_text_makes_no_pieces() -> None:
    assert list(split_pieces(["", ""])) == []
