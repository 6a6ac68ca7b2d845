"""Log-probabilities of continuations against one token at a time, read off the logits by hand."""

import pytest
import torch

from gptkit.insight import continuations as module
from gptkit.insight.continuations import Continuation, likelihoods
from gptkit.model import GPT, ModelConfig
from gptkit.model.ladder import MODELS, BigramConfig, RNNConfig
from gptkit.runtime.runtime import Runtime

CONTEXT, VOCAB_SIZE = 8, 13
RUNTIME = Runtime(torch.device("cpu"))


@pytest.fixture(scope="module")
def model():
    config = ModelConfig(n_layer=2, n_head=2, n_embd=16, context_length=CONTEXT)
    model = GPT(config, VOCAB_SIZE)
    model.init_weights(1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # further from uniform than a new model is
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def tokens(length, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCAB_SIZE, (length,), generator=generator).tolist()


@torch.no_grad()
def log_probs(model, ids):
    """Return log P of each of the tokens after the first, in one window, (len - 1,), and the likeliest ones."""
    logits = model(torch.tensor([ids[:-1]]))[0].double()
    found = logits.log_softmax(dim=-1)[range(len(ids) - 1), ids[1:]]
    return found.numpy(), logits.argmax(dim=-1).tolist()


@pytest.mark.parametrize(("length", "first"), [(6, 2), (9, 1), (9, 8), (2, 1)])
def test_a_continuation_that_fits_is_the_sum_over_its_tokens(model, length, first):
    ids = tokens(length)

    (found,) = likelihoods(model, [Continuation(ids, first)], RUNTIME)

    assert found.log_prob == pytest.approx(log_probs(model, ids)[0][first - 1 :].sum(), abs=1e-5)


def test_a_context_that_is_too_long_loses_its_beginning(model):
    ids = tokens(30)

    (found,) = likelihoods(model, [Continuation(ids, 27)], RUNTIME)

    expected = log_probs(model, ids[-CONTEXT - 1 :])[0][-3:].sum()
    assert found.log_prob == pytest.approx(expected, abs=1e-5)


def test_a_long_text_is_scored_once_a_token_behind_as_much_as_fits(model):
    # 20 tokens after the first: two full windows, then the last four behind a full window.
    ids = tokens(21)

    (found,) = likelihoods(model, [Continuation(ids, 1)], RUNTIME)

    expected = log_probs(model, ids[0:9])[0].sum() + log_probs(model, ids[8:17])[0].sum()
    expected += log_probs(model, ids[12:21])[0][-4:].sum()
    assert found.log_prob == pytest.approx(expected, abs=1e-5)


def test_only_what_temperature_0_would_write_is_greedy(model):
    ids = tokens(4)
    for _ in range(3):
        ids.append(log_probs(model, [*ids, 0])[1][-1])
    other = [*ids[:-2], (ids[-2] + 1) % VOCAB_SIZE, ids[-1]]

    found = likelihoods(model, [Continuation(ids, 4), Continuation(other, 4)], RUNTIME)

    assert [one.is_greedy for one in found] == [True, False]


def test_order_company_and_chunks_change_nothing(model, monkeypatch):
    asked = [Continuation(tokens(2 + 3 * i, seed=i), 1 + i) for i in range(12)]
    together = likelihoods(model, asked, RUNTIME)
    scored = []

    monkeypatch.setattr(module, "EVALUATION_TOKENS", 20)
    monkeypatch.setattr(module, "chunk_logits", lambda device: 3 * VOCAB_SIZE)
    again = likelihoods(model, asked[::-1], RUNTIME, advance=scored.append)[::-1]

    assert [one.log_prob for one in again] == pytest.approx([one.log_prob for one in together])
    assert [one.is_greedy for one in again] == [one.is_greedy for one in together]
    assert len(scored) > 2 and sum(scored) >= len(asked)


def test_nothing_to_score_is_certain(model):
    (found,) = likelihoods(model, [Continuation([1, 2], 2)], RUNTIME)

    assert (found.log_prob, found.is_greedy) == (0.0, True)


@pytest.mark.parametrize(
    "config",
    [
        BigramConfig(context_length=CONTEXT),
        RNNConfig(n_layer=1, n_embd=16, context_length=CONTEXT),
    ],
    ids=["bigram", "rnn"],
)
def test_the_lower_rungs_are_scored_too(config):
    model = MODELS.build(config, VOCAB_SIZE).eval()
    model.init_weights(1)
    ids = tokens(7)

    (found,) = likelihoods(model, [Continuation(ids, 3)], RUNTIME)

    assert found.log_prob == pytest.approx(log_probs(model, ids)[0][2:].sum(), abs=1e-5)
