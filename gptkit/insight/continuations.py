"""How likely a model finds texts as they go on from others: what tests of knowledge ask.

    tokens    c0 c1 c2 c3 | a0 a1 a2        a context, and what is scored
    window       c1 c2 c3   a0 a1  ->  a0 a1 a2        T = 5: the context is cut on its left

What is scored and longer than T is scored in blocks of T, each behind as much as a window holds, so that
each token is scored once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from gptkit.data.batches import EVALUATION_TOKENS
from gptkit.runtime.runtime import Runtime
from gptkit.training.loss import chunk_logits


@dataclass(frozen=True)
class Continuation:
    """Tokens of which those from `first` on are scored."""

    tokens: Sequence[int]
    first: int
    """At least 1: the first token of all has nothing that it could follow from."""


@dataclass(frozen=True)
class Likelihood:
    """What a model makes of a continuation."""

    log_prob: float
    """Its natural logarithm, summed over the tokens; 0 of no tokens."""
    is_greedy: bool
    """Whether each token was the likeliest: temperature 0 would have written this."""


@dataclass(frozen=True)
class _Window:
    owner: int
    inputs: Sequence[int]
    targets: Sequence[int]
    """What follows the last of the inputs, at most as many."""


def likelihoods(
    model: Any,
    continuations: Sequence[Continuation],
    runtime: Runtime,
    *,
    advance: Callable[[int], object] = lambda scored: None,
) -> list[Likelihood]:
    """Return how likely each continuation is, in their order; the model is in eval mode.

    advance: is told how many windows were scored.
    """
    context_length = model.config.context_length
    windows = [
        window
        for owner, one in enumerate(continuations)
        for window in _windows(owner, one, context_length)
    ]
    # Windows of about the same length meet in a batch, the longest first: what does not fit fails at once.
    windows.sort(key=lambda window: -len(window.inputs))
    sums = [0.0] * len(continuations)
    greedy = [True] * len(continuations)
    with torch.inference_mode():
        for batch in _batches(windows):
            for window, (log_prob, hits) in zip(batch, _score(model, batch, runtime), strict=True):
                sums[window.owner] += log_prob
                greedy[window.owner] &= hits
            advance(len(batch))
    return [Likelihood(*found) for found in zip(sums, greedy, strict=True)]


def _windows(owner: int, one: Continuation, context_length: int) -> Iterator[_Window]:
    assert one.first >= 1, "the first token follows from nothing"
    for start in range(one.first, len(one.tokens), context_length):
        end = min(start + context_length, len(one.tokens))
        inputs = one.tokens[max(0, end - 1 - context_length) : end - 1]
        yield _Window(owner, inputs, one.tokens[start:end])


def _batches(windows: Sequence[_Window]) -> Iterator[Sequence[_Window]]:
    """Yield windows that fill a batch; they come in falling length."""
    start = 0
    while start < len(windows):
        rows = max(1, EVALUATION_TOKENS // len(windows[start].inputs))
        yield windows[start : start + rows]
        start += rows


def _score(model: Any, batch: Sequence[_Window], runtime: Runtime) -> list[tuple[float, bool]]:
    """Return log-probability and greediness of each window's targets."""
    longest = max(len(window.inputs) for window in batch)
    # Padded on the right, where no token of the window can see it.
    tokens = torch.zeros((len(batch), longest), dtype=torch.int64)
    rows: list[int] = []
    places: list[int] = []
    wanted: list[int] = []
    for row, window in enumerate(batch):
        length = len(window.inputs)
        tokens[row, :length] = torch.tensor(window.inputs)
        rows += [row] * len(window.targets)
        places += range(length - len(window.targets), length)
        wanted += window.targets
    targets = torch.tensor(wanted, device=runtime.device)
    with runtime.autocast():
        hidden = model.hidden(tokens.to(runtime.device))[rows, places]  # (N, C)
        nats, hits = [], []
        at_once = max(1, chunk_logits(runtime.device) // model.vocab_size)
        for start in range(0, len(targets), at_once):
            ids = targets[start : start + at_once]
            logits = model.unembed(hidden[start : start + at_once]).float()  # (n, V)
            nats.append(F.cross_entropy(logits, ids, reduction="none"))
            hits.append(logits.argmax(dim=-1) == ids)
    log_probs, are_hits = -torch.cat(nats).cpu().double(), torch.cat(hits).cpu()
    found, start = [], 0
    for window in batch:
        part = slice(start, start + len(window.targets))
        found.append((float(log_probs[part].sum()), bool(are_hits[part].all())))
        start += len(window.targets)
    return found
