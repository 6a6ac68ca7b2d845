import math

import numpy as np
import pytest
import torch

from gptkit.data.batches import IGNORE_INDEX, Batch, EvaluationWindows
from gptkit.runtime import Runtime
from gptkit.training.evaluate import evaluate
from gptkit.training.loss import token_losses


class Cut:
    """Batches of a list of windows, as many rows each as asked for."""

    def __init__(self, tokens, targets, rows):
        self._pairs = list(zip(tokens.split(rows), targets.split(rows), strict=True))

    def __len__(self):
        return len(self._pairs)

    def batch(self, index):
        return Batch(*self._pairs[index])


def windows_of(rows):
    torch.manual_seed(5)
    tokens = torch.randint(11, (12, 8))
    targets = torch.randint(11, (12, 8))
    targets[-1, 3:] = IGNORE_INDEX
    return Cut(tokens, targets, rows)


class Uniform(torch.nn.Module):
    def forward(self, tokens, documents=None):
        return torch.zeros(*tokens.shape, 11)


def test_the_figure_does_not_depend_on_how_batches_are_cut(make_model, runtime):
    model = make_model()

    found = [evaluate(model, windows_of(rows), runtime).loss for rows in (1, 3, 5, 12)]

    assert found == pytest.approx([found[0]] * 4, rel=1e-7)


def test_every_token_but_the_first_is_scored_once(make_model, make_text, runtime):
    model = make_model()
    text = make_text(43)

    found = evaluate(model, EvaluationWindows(text, 8), runtime)

    nats = 0.0
    for start in range(0, 42, 8):
        ids = torch.from_numpy(text.window(start, 9).astype(np.int64))
        losses = token_losses(model(ids[None, :-1]), ids[None, 1:])
        nats += losses.sum().item()
    assert found.tokens == 42
    assert found.loss == pytest.approx(nats / 42, rel=1e-6)


def test_a_model_that_knows_nothing_costs_the_log_of_the_vocabulary(runtime):
    found = evaluate(Uniform(), windows_of(4), runtime)

    assert found.tokens == 91
    assert found.loss == pytest.approx(math.log(11))
    assert found.perplexity == pytest.approx(11)


def test_bits_per_byte_leaves_out_tokens_that_stand_for_no_bytes(runtime):
    tokens = torch.tensor([[1, 2, 3, 4]])
    targets = torch.tensor([[0, 1, 2, IGNORE_INDEX]])
    token_bytes = np.array([0, 1, 3, *[1] * 8])

    found = evaluate(Uniform(), Cut(tokens, targets, 1), runtime, token_bytes)

    assert found.bytes == 4
    assert found.bits_per_byte == pytest.approx(2 * math.log2(11) / 4)


def test_accuracy_counts_targets_that_were_most_likely(runtime):
    targets = torch.tensor([[0, 0, 5, IGNORE_INDEX]])

    found = evaluate(Uniform(), Cut(targets.clamp(min=0), targets, 1), runtime)

    assert found.accuracy == pytest.approx(2 / 3)


def test_ranks_score_each_batch_once_between_them(make_model):
    model = make_model()
    ranks = [Alone(torch.device("cpu"), rank=rank, world_size=2) for rank in range(2)]

    parts = [evaluate(model, windows_of(5), rank) for rank in ranks]

    whole = evaluate(model, windows_of(5), Runtime(torch.device("cpu")))
    assert sum(part.tokens for part in parts) == whole.tokens
    nats = sum(part.loss * part.tokens for part in parts)
    assert nats / whole.tokens == pytest.approx(whole.loss)


class Alone(Runtime):
    """One of several ranks, that hears nothing of the others."""

    def sum_over_ranks(self, value):
        return value


def test_evaluation_stops_when_asked_and_has_no_figure(make_model, runtime):
    assert evaluate(make_model(), windows_of(4), runtime, should_stop=lambda: True) is None


def test_evaluation_leaves_mode_and_random_state_as_they_were(make_model, runtime):
    model = make_model(dropout=0.5).train()
    windows = windows_of(4)
    state = torch.get_rng_state()

    evaluate(model, windows, runtime)

    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
