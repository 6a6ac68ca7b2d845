from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from gptkit.errors import DataError
from gptkit.tokenizers import bpe
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import BPEConfig
from gptkit.tokenizers.patterns import PATTERNS
from gptkit.tokenizers.pieces import PIECE_LIMIT, split_pieces


def train(texts: Iterable[str], **settings: Any) -> BPETokenizer:
    texts = list(texts)
    return bpe.train(
        BPEConfig.model_validate(settings),
        lambda: texts,
        total_bytes=sum(len(text.encode("utf-8", "replace")) for text in texts),
        progress=lambda num_bytes: None,
    )


def test_worked_example() -> None:
    """Wikipedia's example of byte-pair encoding, aaabdaaabac, twice over and with our tie rule.

    Only letters, so the text is one word. Pairs over both copies:
      aa 8, ab 4, bd 2, da 2, ac 2, ba 2, ca 1: (a, a) becomes Z = 256: ZabdZabacZabdZabac
      Za 4, ab 4, bd 2, dZ 2, ba 2, ac 2, cZ 1: a < Z, so (a, b) becomes Y = 257: ZYdZYac..
      ZY 4, Yd 2, dZ 2, Ya 2, ac 2, cZ 1: (Z, Y) becomes X = 258: XdXacXdXac; end-of-text is 259.
    """
    text = "aaabdaaabac" * 2

    tokenizer = train([text], vocab_size=260)

    a, c, d = b"acd"
    assert tokenizer.tokens[256:] == (b"aa", b"ab", b"aaab", None)
    assert tokenizer.encode(text) == [258, d, 258, a, c] * 2


@pytest.mark.parametrize("pattern", PATTERNS)
def test_first_ids_are_the_bytes_and_the_last_is_end_of_text(
    pattern: str, bpe_tokenizers: dict[str, BPETokenizer]
) -> None:
    tokenizer = bpe_tokenizers[pattern]

    assert tokenizer.tokens[:256] == tuple(bytes([value]) for value in range(256))
    assert tokenizer.vocab_size == 2000
    assert tokenizer.end_of_text == 1999
    assert tokenizer.decode([1999]) == "<|endoftext|>"
    assert tokenizer.token_bytes()[1999] == 0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_special_text_in_user_text_stays_text(
    pattern: str, bpe_tokenizers: dict[str, BPETokenizer]
) -> None:
    tokenizer = bpe_tokenizers[pattern]
    text = "a<|endoftext|>b <|endoftext|>"

    ids = tokenizer.encode(text)

    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ids_equal_those_of_hugging_face_tokenizers(
    pattern: str,
    bpe_tokenizers: dict[str, BPETokenizer],
    stdlib_text: str,
    fuzz_texts: list[str],
) -> None:
    tokenizer = bpe_tokenizers[pattern]
    texts = [*split_pieces([stdlib_text]), *fuzz_texts]

    expected = hugging_face(tokenizer).encode_batch_fast(texts, add_special_tokens=False)

    assert [tokenizer.encode(text) for text in texts] == [encoding.ids for encoding in expected]


def hugging_face(tokenizer: BPETokenizer) -> Tokenizer:
    """Build the same tokenizer from the ranks: a merge is a token's last cut in two."""
    ranks = {token: rank for rank, token in enumerate(tokenizer.tokens) if token is not None}
    letters = letters_of_bytes()

    def spell(token: bytes) -> str:
        return "".join(letters[value] for value in token)

    merges = [tuple(map(spell, last_parts(token, ranks))) for token in ranks if len(token) > 1]
    vocab = {spell(token): rank for token, rank in ranks.items()}
    built = Tokenizer(models.BPE(vocab, merges))
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[tokenizer.pattern]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    return built


def letters_of_bytes() -> list[str]:
    """Return the printable letter that GPT-2's files write for each byte."""
    spare = iter(range(256, 512))
    return [
        chr(value) if chr(value).isprintable() and chr(value) != " " else chr(next(spare))
        for value in range(256)
    ]


def last_parts(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """Merge the bytes of `token` with all ranks below its own."""
    parts = [bytes([value]) for value in token]
    while True:
        joined = [ranks.get(left + right, len(ranks)) for left, right in pairwise(parts)]
        lowest = min(joined)
        if lowest >= ranks[token]:
            assert len(parts) == 2
            return parts
        place = joined.index(lowest)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def test_training_again_gives_the_same_tokens(bpe_tokenizers: dict[str, BPETokenizer]) -> None:
    text = "the cat sat on that mat, that cat sat. " * 10

    assert train([text], vocab_size=300).tokens == train([text], vocab_size=300).tokens


def test_vocabulary_is_smaller_where_the_text_repeats_too_little() -> None:
    tokenizer = train(["ab ab"], vocab_size=5000)

    assert tokenizer.tokens[256:] == (b"ab", None)
    assert tokenizer.vocab_size == 258


def test_smallest_vocabulary_is_bytes_and_end_of_text() -> None:
    tokenizer = train(["some text, some text"], vocab_size=257)

    assert tokenizer.encode("hé") == [ord("h"), *"é".encode()]
    assert tokenizer.end_of_text == 256


def test_text_of_few_distinct_words_is_enough() -> None:
    tokenizer = train(["yes no yes yes " * 1000], vocab_size=300)

    assert tokenizer.decode(tokenizer.encode("yes no 汉")) == "yes no 汉"


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_empty_text_is_an_error(texts: list[str]) -> None:
    with pytest.raises(DataError, match="the text is empty"):
        train(texts)


def test_progress_counts_bytes_to_the_end() -> None:
    told: list[int] = []
    texts = ["aé" * 70_000, "汉"]

    bpe.train(BPEConfig(), lambda: texts, total_bytes=210_003, progress=told.append)

    assert sum(told) == 210_003
    assert len(told) > 2


def test_longer_corpus_is_sampled_evenly() -> None:
    texts = [f"word{'abcdefghij'[place // 100]} " * 10 for place in range(1000)]

    tokenizer = train(texts, vocab_size=300, train_bytes=6_000)

    learned = {token for token in tokenizer.tokens if token}
    assert {b"word" + bytes([letter]) for letter in b"abcdefghij"} <= {
        token.strip() for token in learned
    }


def test_sample_holds_about_the_bytes_asked_for() -> None:
    pieces = [b"x" * 100] * 1000

    sampled = list(bpe._sample(pieces, 100_000, 25_000))

    assert len(sampled) == 250


def test_surrogates_are_encoded_as_replacement_characters() -> None:
    tokenizer = train(["a\udc80 a\udc80"], vocab_size=300)

    assert tokenizer.decode(tokenizer.encode("a\udc80\ud83d\ude42")) == "a\ufffd🙂"


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "text",
    [" " * 1_000_000 + "x", "a" * 1_000_000, "\n" * 1_000_000, "7" * 1_000_000, "汉" * 300_000],
    ids=["spaces", "letters", "lines", "digits", "chinese"],
)
def test_a_million_of_one_character_survives(
    pattern: str, text: str, bpe_tokenizers: dict[str, BPETokenizer]
) -> None:
    tokenizer = bpe_tokenizers[pattern]

    assert tokenizer.decode(tokenizer.encode_array(text)) == text


def test_encoding_a_long_text_joins_the_ids_of_its_pieces(
    bpe_tokenizers: dict[str, BPETokenizer],
) -> None:
    tokenizer = bpe_tokenizers["llama3"]
    text = "one very long line " * 20_000

    ids = [tokenizer.encode_array(piece) for piece in split_pieces([text])]

    assert len(ids) > len(text) // (2 * PIECE_LIMIT)
    assert tokenizer.encode(text) == np.concatenate(ids).tolist()


def test_panic_inside_tiktoken_is_an_error_with_the_text(
    bpe_tokenizers: dict[str, BPETokenizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):  # what pyo3 raises; not an Exception
        pass

    class PanickingEncoding:
        def encode_to_numpy(self, text: str, **settings: object) -> None:
            raise PanicException("stack overflow")

    tokenizer = train(["abc"], vocab_size=257)
    monkeypatch.setattr(tokenizer, "_encoding", PanickingEncoding())

    with pytest.raises(DataError, match=r"cannot encode the text 'some'.*stack overflow"):
        tokenizer.encode("some")


def test_interrupt_while_encoding_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    class InterruptedEncoding:
        def encode_to_numpy(self, text: str, **settings: object) -> None:
            raise KeyboardInterrupt

    tokenizer = train(["abc"], vocab_size=257)
    monkeypatch.setattr(tokenizer, "_encoding", InterruptedEncoding())

    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode("some")
