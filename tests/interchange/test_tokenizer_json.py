"""tokenizer.json says what our tokenizers say. The long form: benchmarks/interchange.py."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import transformers

from gptkit.interchange.tokenizer_json import (
    merges,
)
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.patterns import PATTERNS
from tests.interchange.conftest import TEXT, make_bpe
from tests.interchange.tokenizer_files import their_tokenizer, write_files


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_encodes_alike(
    pattern: str, tokenizers: dict[str, Tokenizer], fuzz_texts: list[str]
) -> None:
    texts = [*fuzz_texts, TEXT, inspect.getsource(inspect)]
    theirs = their_tokenizer(tokenizers[pattern])

    ids = [theirs.encode(text).ids for text in texts]

    assert ids == [tokenizers[pattern].encode(text) for text in texts]
    assert [theirs.decode(found) for found in ids] == texts


def test_autotokenizer_keeps_our_pre_tokenizer_and_takes_special_text_for_text(
    tokenizers: dict[str, Tokenizer], fuzz_texts: list[str], tmp_path: Path
) -> None:
    tokenizer = tokenizers["gpt2"]
    write_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert [theirs(text)["input_ids"] for text in fuzz_texts] == [
        tokenizer.encode(text) for text in fuzz_texts
    ]
    assert theirs.eos_token_id == tokenizer.end_of_text
    assert theirs.decode([tokenizer.end_of_text], skip_special_tokens=True) == ""


def test_characters_come_through_and_an_unknown_one_is_an_error(
    tokenizers: dict[str, Tokenizer],
) -> None:
    theirs = their_tokenizer(tokenizers["char"])

    assert theirs.encode(TEXT).ids == tokenizers["char"].encode(TEXT)
    assert theirs.decode(tokenizers["char"].encode(TEXT)) == TEXT
    with pytest.raises(Exception, match="UNK"):
        theirs.encode("Ж")


def test_merges_are_found_again_in_the_ranks() -> None:
    tokens = [*(bytes([value]) for value in range(256)), b"ab", b"abab", None, b"ca", b"cab"]

    found = merges(tokens)

    # c, ab and ca, b both make cab; (a, b) was learned first, so the text never holds ca, b.
    assert found == [(b"a", b"b"), (b"ab", b"ab"), (b"c", b"a"), (b"c", b"ab")]


def test_a_published_pattern_that_oniguruma_reads_otherwise_is_written_as_it_reads_it(
    fuzz_texts: list[str],
) -> None:
    """cl100k_base's {1,3}+ is possessive for tiktoken, and a repetition for `tokenizers`."""
    made = make_bpe("llama3")
    own = BPETokenizer(
        made.tokens,
        pattern=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        special_tokens=made.special_tokens,
        encoding_name="cl100k_base",
    )
    texts = [*fuzz_texts, "12345 1234567 12345678", TEXT]

    theirs = their_tokenizer(own)

    assert [theirs.encode(text).ids for text in texts] == [own.encode(text) for text in texts]
