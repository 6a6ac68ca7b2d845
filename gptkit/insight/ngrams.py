"""Interpolated Kneser-Ney: how far counting short contexts gets.

An n-gram model of order k looks at the k - 1 tokens before. With c the count, D the discount and
c(h) the sum of counts behind the context h:

    P_k(w | h) = max(c(h w) - D, 0) / c(h)  +  share(h) * P_{k-1}(w | h without its first token)
    P_0(w)     = 1 / V

What the discounts take away, share(h) = sum of D over the tokens seen behind h / c(h), goes to the
shorter context. Below the highest order c counts distinct predecessors in place of occurrences: a
token that follows everything is likelier in a new place than one that follows a single word often.

Reference: modified Kneser-Ney with three discounts, Chen and Goodman 1999, section 3; without its
sentence marks: a text is one long row of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The distinct k-grams of a text, K of them. A k-gram's id is its place here."""

    keys: IntArray
    """(K,) ascending: id of the (k-1)-gram before, times V, plus the last token."""
    counts: IntArray
    """(K,) occurrences."""
    suffixes: IntArray
    """(K,) id of the (k-1)-gram that is left without the first token."""


@dataclass(frozen=True)
class _Table:
    """Probabilities of one order under one way of counting."""

    kept: FloatArray
    """(K,) counts less their discount."""
    totals: FloatArray
    """(contexts,) sum of the counts behind each context."""
    freed: FloatArray
    """(contexts,) sum of the discounts behind each context."""


class NgramModel:
    """Counts of all orders up to `max_order`, as models of each order.

    >>> model = NgramModel(np.array([0, 1] * 50), vocab_size=2, max_order=2)
    >>> [round(float(nats.mean()), 2) for nats in model.nats(np.array([0, 1, 0, 1]))]
    [0.69, 0.02]
    """

    def __init__(self, tokens: NDArray[Any], *, vocab_size: int, max_order: int) -> None:
        """tokens: (N,) ids below vocab_size, N at least 1."""
        self.vocab_size = vocab_size
        self.orders = _count(np.asarray(tokens, np.int64), vocab_size, max_order)

    def nats(self, tokens: NDArray[Any]) -> list[FloatArray]:
        """Return -ln P of every token but the first, (N - 1,), under the model of each order.

        The context of a token is what stands before it in `tokens`.
        """
        tokens = np.asarray(tokens, np.int64)
        context = np.zeros(len(tokens), np.int64)  # id of what stands before, -1: never seen
        lower = np.full(len(tokens), 1 / self.vocab_size)
        found: list[FloatArray] = []
        for order, (occurrences, continuations) in zip(self.orders, self._tables, strict=True):
            ids = _lookup(order.keys, context * self.vocab_size + tokens)
            ids[context < 0] = -1
            probability = _interpolate(occurrences, ids, context, lower)
            found.append(-np.log(probability[1:]))
            if continuations is not None:
                lower = _interpolate(continuations, ids, context, lower)
            context = np.concatenate((np.array([-1]), ids[:-1]))
        return found

    @cached_property
    def _tables(self) -> list[tuple[_Table, _Table | None]]:
        """Each order as the highest one and, but for the last, below a higher one."""
        tables: list[tuple[_Table, _Table | None]] = []
        num_contexts = 1
        for k, order in enumerate(self.orders):
            contexts = order.keys // self.vocab_size
            highest = _table(order.counts, contexts, num_contexts)
            below = None
            if k + 1 < len(self.orders):
                predecessors = np.bincount(
                    self.orders[k + 1].suffixes, minlength=len(order.keys)
                ).astype(np.int64)
                below = _table(predecessors, contexts, num_contexts)
            tables.append((highest, below))
            num_contexts = len(order.keys)
        return tables


def discounts(counts: IntArray) -> FloatArray:
    """Return what is taken from a count of 0, 1, 2, and 3 or more: (4,).

    D_j = j - (j + 1) Y n_{j+1} / n_j with Y = n_1 / (n_1 + 2 n_2), where n_j counts have the value
    j; 0.5, 1 and 1.5 where the text is too small to say.

    >>> discounts(np.array([1] * 4 + [2] * 2 + [3] * 2 + [4])).round(3).tolist()
    [0.0, 0.5, 0.5, 2.0]
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(np.float64)
    taken = np.array([0.0, 0.5, 1.0, 1.5])
    if n[1:].all():
        y = n[1] / (n[1] + 2 * n[2])
        steps = np.arange(1, 4)
        learned = steps - (steps + 1) * y * n[2:] / n[1:4]
        if ((learned > 0) & (learned <= steps)).all():
            taken[1:] = learned
    return taken


def _count(tokens: IntArray, vocab_size: int, max_order: int) -> list[_Order]:
    orders: list[_Order] = []
    before = np.zeros(len(tokens), np.int64)  # of each token: the id of the (k-1)-gram before it
    shorter = np.zeros(len(tokens), np.int64)  # and of the (k-1)-gram that ends with it
    for k in range(1, max_order + 1):
        if k > len(tokens):
            break
        keys, ids, counts = np.unique(
            before * vocab_size + tokens[k - 1 :], return_inverse=True, return_counts=True
        )
        suffixes = np.empty(len(keys), np.int64)
        suffixes[ids] = shorter[-len(ids) :]
        orders.append(_Order(keys, counts.astype(np.int64), suffixes))
        before, shorter = ids[:-1], ids
    return orders


def _table(counts: IntArray, contexts: IntArray, num_contexts: int) -> _Table:
    taken = discounts(counts)[np.minimum(counts, 3)]
    return _Table(
        kept=counts - taken,
        totals=np.bincount(contexts, counts, minlength=num_contexts).astype(np.float64),
        freed=np.bincount(contexts, taken, minlength=num_contexts).astype(np.float64),
    )


def _lookup(keys: IntArray, wanted: IntArray) -> IntArray:
    """Return the place of each wanted key, -1 where it is not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def _interpolate(table: _Table, ids: IntArray, contexts: IntArray, lower: FloatArray) -> FloatArray:
    totals = np.where(contexts >= 0, table.totals[contexts], 0.0)
    kept = np.where(ids >= 0, table.kept[ids], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = (kept + table.freed[contexts] * lower) / totals
    return np.where(totals > 0, mixed, lower)
