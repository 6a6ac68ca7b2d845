import random
from collections.abc import Sequence

import pytest

from gptkit.errors import ConfigError
from gptkit.generation.text import TextStream


class ByteTokenizer:
    """Token n is the byte n; from 256 on, the words given."""

    def __init__(self, *words: bytes) -> None:
        self.words = words

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(bytes([i]) if i < 256 else self.words[i - 256] for i in ids)


WORDS = (
    b"the ",
    "学".encode(),
    "学".encode()[:2],
    "学".encode()[1:],
    b"\xf0\x9f",
    b"\x98\x80",
    b"",
)
TOKENIZER = ByteTokenizer(*WORDS)


def streamed(tokens: Sequence[int], stops: Sequence[str] = ()) -> str:
    return "".join(pieces_of(TextStream(TOKENIZER, stops), tokens))


def pieces_of(stream: TextStream, tokens: Sequence[int]) -> list[str]:
    return [*(stream.push(token) for token in tokens), stream.finish()]


def cut_at_stops(text: str, stops: Sequence[str]) -> str:
    return text[: min((i for s in stops if (i := text.find(s)) >= 0), default=len(text))]


@pytest.mark.parametrize("seed", range(200))
def test_streamed_text_is_the_text_of_all_tokens(seed: int) -> None:
    rng = random.Random(seed)
    tokens = [rng.randrange(256 + len(WORDS)) for _ in range(rng.randrange(60))]

    assert streamed(tokens) == TOKENIZER.decode_bytes(tokens).decode("utf-8", "replace")


@pytest.mark.parametrize("seed", range(200))
def test_stop_strings_cut_streamed_text_where_they_cut_all_text(seed: int) -> None:
    rng = random.Random(seed)
    tokens = [ord(rng.choice("ab")) for _ in range(rng.randrange(40))]
    stops = ["".join(rng.choices("ab", k=rng.randrange(1, 6))) for _ in range(rng.randrange(4))]

    assert streamed(tokens, stops) == cut_at_stops(bytes(tokens).decode(), stops)


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("aaab", ["aab"], "a"),
        ("aaab", ["aaab"], ""),
        ("xabcd", ["bc", "abcd"], "x"),
        ("xabce", ["bc", "abcd"], "xa"),
        ("xabc", ["bc", "abcd"], "xa"),
        ("hello", ["lo", "l"], "he"),
        ("hello", ["help"], "hello"),
        ("ab", [], "ab"),
        ("", ["a"], ""),
    ],
)
def test_the_leftmost_stop_string_wins(text: str, stops: list[str], expected: str) -> None:
    assert streamed(list(text.encode()), stops) == expected


def test_a_character_split_over_tokens_comes_whole() -> None:
    tokens = [*"学".encode(), *"😀é".encode()]

    pieces = pieces_of(TextStream(TOKENIZER), tokens)

    assert [piece for piece in pieces if piece] == ["学", "😀", "é"]


def test_bytes_that_cannot_become_a_character_are_replaced_at_once() -> None:
    stream = TextStream(TOKENIZER)

    assert [stream.push(t) for t in (0xE5, 0xAD, ord("a"))] == ["", "", "�a"]


def test_an_unfinished_character_is_replaced_at_the_end() -> None:
    assert streamed([ord("a"), *"学".encode()[:2]]) == "a�"


def test_only_what_may_become_a_stop_string_is_held_back() -> None:
    stream = TextStream(TOKENIZER, ["\n\n", "END"])

    assert [stream.push(t) for t in b"a\nb E EN"] == ["a", "", "\nb", " ", "", "E ", "", ""]
    assert stream.finish() == "EN"
    assert not stream.stopped


def test_nothing_comes_after_a_stop_string() -> None:
    stream = TextStream(TOKENIZER, ["!"])

    assert [stream.push(t) for t in b"ab!c!"] == ["a", "b", "", "", ""]
    assert stream.finish() == ""
    assert stream.stopped


def test_a_stop_string_does_not_wait_for_a_longer_one_that_starts_with_it() -> None:
    stream = TextStream(TOKENIZER, ["ab", "abc"])

    pieces = [stream.push(t) for t in b"xab"]

    assert pieces == ["x", "", ""]
    assert stream.stopped


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        TextStream(TOKENIZER, ["a", ""])
