"""Copied passages are found with their places; nothing else is."""

import numpy as np
import pytest

from gptkit.data.shards import InMemoryTokens
from gptkit.insight import memorisation
from gptkit.insight.memorisation import SHORTEST, find_copies
from gptkit.tokenizers.bpe import train as train_bpe
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.config import BPEConfig

WORDS = ["apple", "brook", "candle", "dune", "ember", "fjord", "grove", "harbor", "一片", "森林🙂"]


def words(count, seed):
    picks = np.random.default_rng(seed).integers(0, len(WORDS), count)
    return " ".join(WORDS[pick] for pick in picks)


def corpus(documents, tokenizer=None):
    """Return documents as training tokens."""
    text = "".join(documents)
    tokenizer = tokenizer or CharTokenizer("".join(sorted(set(text))))
    ids = [tokenizer.encode(document) for document in documents]
    starts = np.cumsum([0, *map(len, ids)])[:-1]
    return InMemoryTokens(np.concatenate(ids).astype(np.uint32), starts), tokenizer, text


def naive_longest(sample, text):
    """Return the longest common substring of two byte strings, by trying all."""
    best = 0
    for start in range(len(sample)):
        while sample[start : start + best + 1] in text and start + best < len(sample):
            best += 1
    return best


def test_a_copied_passage_is_found_with_its_place():
    documents = [words(60, 1) + "\n", "second\n" + words(60, 2) + "\n", words(60, 3) + "\n"]
    train, tokenizer, text = corpus(documents)
    passage = documents[1][30:150]
    sample = "zz apple " + passage + " zz " + words(3, 9)

    found = find_copies(sample, train, tokenizer)

    place = text.encode().index(passage.encode())
    assert passage in found.longest.text
    assert found.longest.at_byte + found.longest.text.index(passage) == place
    assert found.longest.line == text.encode()[: found.longest.at_byte].count(b"\n") + 1
    assert found.longest.document == 2
    assert 0.5 < found.share < 1
    assert found.copied[9:60].all() and not found.copied[:2].any()


@pytest.mark.parametrize("seed", range(8))
def test_the_longest_match_is_that_of_a_naive_search(seed):
    train, tokenizer, text = corpus([words(400, seed)])
    random = np.random.default_rng(seed)
    start = int(random.integers(0, 800))
    sample = (
        words(10, seed + 50)
        + text[start : start + int(random.integers(40, 200))]
        + words(10, seed + 60)
    )

    found = find_copies(sample, train, tokenizer)

    longest = naive_longest(sample.encode(), text.encode())
    assert (found.longest.length if found.longest else 0) == (longest if longest >= SHORTEST else 0)


def test_what_was_not_copied_has_no_share():
    train, tokenizer, _ = corpus([words(500, 1)])

    found = find_copies("qqq " * 100, train, tokenizer)

    assert (found.share, found.longest) == (0.0, None)


@pytest.mark.parametrize("sample", ["", "short", "x" * (SHORTEST - 1)])
def test_a_sample_shorter_than_a_passage_has_none(sample):
    train, tokenizer, _ = corpus([words(500, 1) + "x" * 100])

    assert find_copies(sample, train, tokenizer).longest is None


def test_a_whole_copy_has_a_share_of_one():
    train, tokenizer, text = corpus([words(100, 4)])

    found = find_copies(text, train, tokenizer)

    assert found.share == 1
    assert (found.longest.length, found.longest.at_byte) == (len(text.encode()), 0)


def test_passages_are_found_across_the_pieces_that_are_read(monkeypatch):
    train, tokenizer, text = corpus([words(300, 5)])
    whole = find_copies(text[500:700], train, tokenizer)
    monkeypatch.setattr(memorisation, "_CHUNK_TOKENS", 97)

    assert find_copies(text[500:700], train, tokenizer).longest == whole.longest
    assert whole.longest.text == text[500:700]


def test_a_text_that_repeats_itself_takes_no_memory():
    train, tokenizer, text = corpus(["the same line again and again and again.\n" * 20_000])

    found = find_copies(text[:2000], train, tokenizer)

    assert found.share == 1


def test_any_tokenizer_finds_the_same():
    text = words(300, 6)
    size = len(text.encode())
    bpe = train_bpe(
        BPEConfig(vocab_size=400), lambda: [text], total_bytes=size, progress=lambda n: None
    )
    by_bpe, _, _ = corpus([text], bpe)
    by_char, char, _ = corpus([text])

    assert (
        find_copies(text[100:300], by_bpe, bpe).longest
        == find_copies(text[100:300], by_char, char).longest
    )
