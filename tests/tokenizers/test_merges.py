from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from gptkit.tokenizers.merges import learn_merges, token_strings


def learn_slowly(word_counts: dict[bytes, int], num_merges: int) -> list[tuple[int, int]]:
    """The definition: count all pairs anew for each merge."""
    words = [(list(word), count) for word, count in word_counts.items()]
    merges: list[tuple[int, int]] = []
    while len(merges) < num_merges:
        counts: Counter[tuple[int, int]] = Counter()
        for tokens, count in words:
            for pair in pairwise(tokens):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        words = [(join(tokens, best, 256 + len(merges)), count) for tokens, count in words]
        merges.append(best)
    return merges


def join(tokens: list[int], pair: tuple[int, int], merged: int) -> list[int]:
    joined: list[int] = []
    place = 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            joined.append(merged)
            place += 2
        else:
            joined.append(tokens[place])
            place += 1
    return joined


def test_worked_example() -> None:
    """low x 5, lower x 2, newest x 6, merged by hand; [..] is a token that a merge made.

    256  lo 7, ow 7, we 2 + 6 = 8, er 2, ne 6, ew 6, es 6, st 6: (w, e)
    257  lo 7, ow 5, o[we] 2, [we]r 2, ne 6, e[we] 6, [we]s 6, st 6: (l, o)
    258  [lo]w 5, [lo][we] 2, [we]r 2, 6: ne, e[we], [we]s, st; e < n, so (e, [we])
    259  n[ewe] 6, [ewe]s 6, st 6: (n, [ewe])
    260  [newe]s 6, st 6: (s, t)
    261  [newe][st] 6: ([newe], [st])
    262  [lo]w 5, [lo][we] 2, [we]r 2: ([lo], w)
    """
    merges = learn_merges({b"low": 5, b"lower": 2, b"newest": 6}, 7)

    w, e, n, s, t, o = (ord(letter) for letter in "wenst" + "o")
    expected = [(w, e), (ord("l"), o), (e, 256), (n, 258), (s, t), (259, 260), (257, w)]
    assert merges == expected
    assert token_strings(merges)[256:] == [b"we", b"lo", b"ewe", b"newe", b"st", b"newest", b"low"]


@pytest.mark.parametrize("seed", range(20))
def test_incremental_counts_give_the_merges_of_the_definition(seed: int) -> None:
    generator = random.Random(seed)
    alphabet = generator.choice([b"a", b"ab", b"abcd", bytes(range(256))])
    words = [bytes(generator.choices(alphabet, k=generator.randint(1, 14))) for _ in range(60)]
    counts = dict(Counter(words + generator.choices(words, k=100)))

    merges = learn_merges(counts, 80)

    assert merges == learn_slowly(counts, 80)


def test_order_of_the_words_does_not_matter() -> None:
    counts = {b"the": 2, b"cat": 3, b"sat": 4, b"on": 5, b"that": 6, b"mat": 7}

    assert learn_merges(dict(reversed(counts.items())), 20) == learn_merges(counts, 20)


def test_ids_in_the_surrogate_range_are_ids_like_any_other() -> None:
    """More than 0xD800 merges: one word per two-byte string, each twice, then joined in fours."""
    counts = {bytes([a, b]): 2 for a in range(256) for b in range(256)}

    merges = learn_merges(counts, 60_000)

    assert merges == [divmod(place, 256) for place in range(60_000)]


def test_pairs_that_occur_once_are_not_merged() -> None:
    assert learn_merges({b"abc": 1, b"xyz": 1}, 10) == []


def test_no_two_merges_make_the_same_string() -> None:
    generator = random.Random(3)
    counts = Counter(
        bytes(generator.choices(b"ab", k=generator.randint(1, 30))) for _ in range(500)
    )

    tokens = token_strings(learn_merges(counts, 300))

    assert len(set(tokens)) == len(tokens)


def test_learning_can_be_ended_from_outside() -> None:
    ticks = iter([None, None])

    with pytest.raises(StopIteration):
        learn_merges({b"low": 5, b"lower": 2, b"newest": 6}, 5, tick=lambda: next(ticks))
