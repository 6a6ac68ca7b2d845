"""Learning merges: count pairs of neighbouring tokens, join the most frequent one, again and again.

    words and counts          low x 5, lower x 2, newest x 6        (each letter a token)
    pair counts               lo 7, ow 7, we 8, er 2, ne 6, ew 6, es 6, st 6
    merge 0: (w, e)           low x 5, lo[we]r x 2, ne[we]st x 6
    pair counts               lo 7, ow 5, o[we] 2, [we]r 2, ne 6, e[we] 6, [we]s 6, st 6
    merge 1: (l, o)           [lo]w x 5, [lo][we]r x 2, ...

A word is held as a `str` with one character per token, chr(id), and a pair as a `str` of two.
Merging is then `split` and `join`, which run in C, and the order of pairs by id is the order of
these strings.

No byte string is ever made by two different merges: cuts between tokens only vanish, so what
happened inside a span whose two ends still stand does not depend on what is around it. So the
merges and the ranked byte strings that tiktoken wants say the same thing.

Reference: Neural Machine Translation of Rare Words with Subword Units, arXiv:1508.07909, section
3.2; over bytes as in GPT-2.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from operator import add

NUM_BYTES = 256
_MIN_COUNT = 2  # joining a pair that the text holds once shortens nothing that will be seen again

Merge = tuple[int, int]


def learn_merges(
    word_counts: Mapping[bytes, int], num_merges: int, tick: Callable[[], object] = lambda: None
) -> list[Merge]:
    """Return up to `num_merges` pairs of ids; the pair at place i becomes token 256 + i.

    Ids below 256 are bytes. The most frequent pair goes first, among equals the one with the
    smallest ids; the result is a function of the counts alone, not of their order. Fewer merges
    come back where no pair is left that occurs twice. `tick` is called before each merge, and may
    end the work with an exception.
    """
    table = _PairTable(word_counts)
    # Each pair has exactly one entry. An entry may be too high, for counts fall behind the heap's
    # back; it is corrected when it comes up. Counts rise only for pairs that hold the newest token,
    # pushed when made.
    heap = [(-count, pair) for pair, count in table.counts.items() if count >= _MIN_COUNT]
    heapq.heapify(heap)
    merges: list[Merge] = []
    while heap and len(merges) < num_merges:
        claimed, pair = heapq.heappop(heap)
        count = table.counts.get(pair, 0)
        if count < _MIN_COUNT:
            continue
        if count != -claimed:
            heapq.heappush(heap, (-count, pair))
            continue
        tick()
        for new_pair in table.merge(pair, chr(NUM_BYTES + len(merges))):
            if (count := table.counts[new_pair]) >= _MIN_COUNT:
                heapq.heappush(heap, (-count, new_pair))
        merges.append((ord(pair[0]), ord(pair[1])))
    return merges


def token_strings(merges: list[Merge]) -> list[bytes]:
    """Return the bytes of every token: the 256 single bytes, then one string per merge."""
    tokens = [bytes([value]) for value in range(NUM_BYTES)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


class _PairTable:
    """The words as tokens so far, and how often each pair stands in them."""

    def __init__(self, word_counts: Mapping[bytes, int]) -> None:
        # Latin-1 is the table from byte b to chr(b).
        self.words = [word.decode("latin-1") for word in word_counts]
        self.word_counts = list(word_counts.values())
        self.counts: defaultdict[str, int] = defaultdict(int)
        # Where a pair may stand: word numbers, some of them twice, some no longer true.
        self.places: defaultdict[str, list[int]] = defaultdict(list)
        counts, places = self.counts, self.places
        for number, (word, count) in enumerate(zip(self.words, self.word_counts, strict=True)):
            for pair in map(add, word, word[1:]):
                counts[pair] += count
                places[pair].append(number)

    def merge(self, pair: str, token: str) -> set[str]:
        """Put `token` for every `pair`, from left to right, and return the pairs that this made."""
        counts, places = self.counts, self.places
        made: set[str] = set()
        for number in places.pop(pair):
            parts = self.words[number].split(pair)
            self.words[number] = token.join(parts)
            count = self.word_counts[number]
            for before, now in _changed_pairs(parts, pair, token):
                counts[before] -= count
                counts[now] += count
                places[now].append(number)
                made.add(now)
        del counts[pair]
        return made


def _changed_pairs(parts: list[str], pair: str, token: str) -> Iterator[tuple[str, str]]:
    """Yield (pair before, pair now) for each neighbour of a `token` that came between `parts`."""
    last = len(parts) - 1
    for place, part in enumerate(parts):
        if part:
            if place > 0:
                yield pair[1] + part[0], token + part[0]
            if place < last:
                yield part[-1] + pair[0], part[-1] + token
        elif 0 < place < last:
            yield pair[1] + pair[0], token + token
