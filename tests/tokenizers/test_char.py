from __future__ import annotations

import numpy as np
import pytest

from gptkit.errors import DataError, PromptError
from gptkit.tokenizers import char
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.config import CharConfig


def train(*texts: str) -> CharTokenizer:
    return char.train(CharConfig(), lambda: texts, total_bytes=0, progress=lambda num_bytes: None)


def test_characters_are_sorted_by_code_point() -> None:
    tokenizer = train("🙂ba汉", "ab\n")

    assert tokenizer.characters == "\nab汉🙂"
    assert tokenizer.encode("b🙂\n") == [2, 4, 0]


def test_there_is_no_end_of_text() -> None:
    assert train("ab").end_of_text is None


def test_unseen_characters_are_named_with_their_code_points() -> None:
    message = r"not among the 2 .*: '\\n' \(U\+000A\), 'Z' \(U\+005A\), '🙂' \(U\+1F642\)$"

    with pytest.raises(PromptError, match=message):
        train("ab").encode("aZZ🙂\nb")


def test_many_unseen_characters_are_counted() -> None:
    with pytest.raises(PromptError, match=r"'j' \(U\+006A\) and 16 more$"):
        train("A").encode("abcdefghijklmnopqrstuvwxyz")


def test_character_above_the_vocabulary_is_unseen() -> None:
    with pytest.raises(PromptError, match=r"U\+10FFFF"):
        train("ab").encode("\U0010ffff")


def test_unseen_surrogate_is_named() -> None:
    with pytest.raises(PromptError, match=r"'\\udc80' \(U\+DC80\)"):
        train("ab").encode("a\udc80")


def test_surrogates_of_the_text_become_replacement_characters() -> None:
    tokenizer = train("a\udc80\ud83d\ude42")

    assert tokenizer.characters == "a\ufffd🙂"
    assert tokenizer.decode(tokenizer.encode("a\udc80")) == "a\ufffd"


def test_more_characters_than_uint16_holds() -> None:
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x1_2000)]))
    tokenizer = train(text)

    ids = tokenizer.encode_array(text)

    assert ids.dtype == np.uint32
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("vocab_size", [2**16 - 1, 2**16])
def test_the_last_ids_of_uint16_are_told_from_unseen(vocab_size: int) -> None:
    codes = [code for code in range(2**17) if not 0xD800 <= code < 0xE000][:vocab_size]
    tokenizer = train("".join(map(chr, codes)))

    assert tokenizer.encode(chr(codes[-1])) == [vocab_size - 1]
    with pytest.raises(PromptError):
        tokenizer.encode(chr(codes[-1] + 1))


def test_progress_counts_bytes() -> None:
    told: list[int] = []

    char.train(CharConfig(), lambda: ["aé", "汉"], total_bytes=6, progress=told.append)

    assert told == [3, 3]


def test_empty_text_is_an_error() -> None:
    with pytest.raises(DataError, match="the text is empty"):
        train("", "")
