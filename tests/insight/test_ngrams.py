"""Kneser-Ney against a second, slow one that is written as the formula reads."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from gptkit.insight.ngrams import NgramModel, discounts


class SlowKneserNey:
    """The formula over dictionaries of tuples; discounts are those of the counts at each order."""

    def __init__(self, tokens, vocab_size, order):
        self.vocab_size, self.order = vocab_size, order
        self.counts = {}
        for k in range(1, order + 1):
            grams = [tuple(tokens[i : i + k]) for i in range(len(tokens) - k + 1)]
            if k == order:
                self.counts[k] = Counter(grams)
            else:
                longer = {tuple(tokens[i : i + k + 1]) for i in range(len(tokens) - k)}
                self.counts[k] = Counter(gram[1:] for gram in longer)
                for gram in grams:
                    self.counts[k].setdefault(gram, 0)
        self.taken = {k: self.learn(list(c.values())) for k, c in self.counts.items()}
        self.behind = {k: defaultdict(list) for k in self.counts}
        for k, counts in self.counts.items():
            for gram, count in counts.items():
                self.behind[k][gram[:-1]].append(count)

    def learn(self, values):
        n = [values.count(j) for j in range(5)]
        if min(n[1:]) > 0:
            y = n[1] / (n[1] + 2 * n[2])
            found = [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
            if all(0 < d <= j for j, d in enumerate(found, start=1)):
                return [0.0, *found]
        return [0.0, 0.5, 1.0, 1.5]

    def probability(self, word, context, k=None):
        k = self.order if k is None else k
        if k == 0:
            return 1 / self.vocab_size
        if len(context) < k - 1:  # the start of the text
            return self.probability(word, context, k - 1)
        context = tuple(context)
        lower = self.probability(word, context[1:], k - 1)
        behind = self.behind[k].get(context, [])
        if not sum(behind):
            return lower
        count = self.counts[k].get((*context, word), 0)
        taken = self.taken[k]
        freed = sum(taken[min(c, 3)] for c in behind)
        return (max(count - taken[min(count, 3)], 0) + freed * lower) / sum(behind)


def random_text(length, vocab_size, seed):
    generator = np.random.default_rng(seed)
    steps = generator.dirichlet(np.full(vocab_size, 0.3), size=vocab_size)
    text = [0]
    for _ in range(length - 1):
        text.append(int(generator.choice(vocab_size, p=steps[text[-1]])))
    return np.array(text)


@pytest.mark.parametrize(("length", "vocab_size"), [(400, 3), (900, 12), (60, 40)])
def test_every_order_is_the_formula(length, vocab_size):
    train, text = random_text(length, vocab_size, 1), random_text(80, vocab_size, 2)

    found = NgramModel(train, vocab_size=vocab_size, max_order=4).nats(text)

    for order, nats in enumerate(found, start=1):
        slow = SlowKneserNey(train.tolist(), vocab_size, order)
        expected = [
            -math.log(slow.probability(int(text[i]), text[max(0, i - order + 1) : i].tolist()))
            for i in range(1, len(text))
        ]
        assert nats == pytest.approx(expected, rel=1e-9)


def test_the_probabilities_of_what_may_follow_add_up_to_one():
    train = random_text(500, 7, 3)
    model = NgramModel(train, vocab_size=7, max_order=5)

    total = sum(
        np.array([math.exp(-nats[-1]) for nats in model.nats(np.append(train[90:96], word))])
        for word in range(7)
    )

    assert total == pytest.approx(np.ones(5))


def test_a_token_never_seen_has_a_probability():
    model = NgramModel(np.array([1, 2] * 20), vocab_size=9, max_order=3)

    unseen = model.nats(np.array([1, 8]))

    assert all(0 < nats[0] < 10 for nats in unseen)


def test_a_longer_context_helps_where_there_is_one():
    cycle = np.array([0, 0, 1, 1] * 100)

    _, bigram, trigram = NgramModel(cycle, vocab_size=2, max_order=3).nats(cycle)

    assert bigram.mean() > 0.6
    assert trigram[5:].mean() < 0.02


def test_discounts_worked_out_by_hand():
    # n1..n4 = 4, 2, 2, 1: Y = 4 / 8; 1 - 2 Y 2/4 = 0.5; 2 - 3 Y 2/2 = 0.5; 3 - 4 Y 1/2 = 2
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 3, 4, 9])

    assert discounts(counts) == pytest.approx([0, 0.5, 0.5, 2])
    assert discounts(np.array([7, 7])) == pytest.approx([0, 0.5, 1, 1.5])


@pytest.mark.parametrize("tokens", [[3], [3, 3], [0, 1]])
def test_a_text_shorter_than_the_order_has_the_orders_that_fit(tokens):
    model = NgramModel(np.array(tokens), vocab_size=4, max_order=5)

    found = model.nats(np.array([3, 0, 1, 3]))

    assert len(found) == len(tokens)
    assert all(np.isfinite(nats).all() for nats in found)
