from __future__ import annotations

import pytest
import regex

from gptkit.tokenizers.patterns import PATTERNS


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("llama3", "It's  2024!\n\n x", ["It", "'s", " ", " ", "202", "4", "!\n\n", " x"]),
        ("qwen2", "It'S 2024", ["It", "'S", " ", "2", "0", "2", "4"]),
        ("gpt2", "It's IT'S 2024!\n", ["It", "'s", " IT", "'", "S", " 2024", "!", "\n"]),
        ("llama3", "(foo)  bar\r\n", ["(foo", ")", " ", " bar", "\r\n"]),
        ("gpt2", "(foo)  bar", ["(", "foo", ")", " ", " bar"]),
    ],
)
def test_words_of_an_example(name: str, text: str, words: list[str]) -> None:
    assert regex.findall(PATTERNS[name], text) == words


@pytest.mark.parametrize("name", PATTERNS)
def test_words_join_to_the_text(name: str, fuzz_texts: list[str]) -> None:
    find_words = regex.compile(PATTERNS[name]).findall

    assert ["".join(find_words(text)) for text in fuzz_texts] == fuzz_texts


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_is_possessive(name: str) -> None:
    """Hugging Face's regular expressions read `{1,3}+` as `(?:...{1,3})+`."""
    assert not regex.search(r"[+*?]\+|\d}\+", PATTERNS[name])
