"""What is read off the scores of tokens, worked out by hand; and the scores against the evaluation in training."""

import math

import numpy as np
import pytest
import torch

from gptkit.data.batches import EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.insight.reading import (
    bits_per_byte,
    by_position,
    calibration,
    calibration_error,
    passages,
    top_accuracy,
)
from gptkit.insight.scores import TokenScores, score_tokens
from gptkit.model import GPT, ModelConfig
from gptkit.runtime.runtime import Runtime
from gptkit.training.evaluate import evaluate


def scores_of(nats, ranks=None, confidence=None, positions=None):
    n = len(nats)
    return TokenScores(
        np.array(nats, np.float64),
        np.zeros(n, np.int64) if ranks is None else np.array(ranks),
        np.full(n, 0.5) if confidence is None else np.array(confidence),
        np.arange(1, n + 1) if positions is None else np.array(positions),
    )


@pytest.fixture
def runtime():
    return Runtime(torch.device("cpu"))


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = ModelConfig(n_layer=2, n_head=2, n_embd=16, context_length=8)
    model = GPT(config, 11)
    model.init_weights(3)
    return model


@pytest.fixture
def text():
    ids = np.random.default_rng(4).integers(11, size=50).astype(np.uint16)
    return InMemoryTokens(ids, np.array([0, 13, 27]))


@pytest.mark.parametrize("stride", [None, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_scores_add_up_to_the_evaluation_of_training(model, runtime, text, stride, masked):
    windows = EvaluationWindows(text, 8, stride, documents=masked)

    scores = score_tokens(model, windows, runtime)

    known = evaluate(model, windows, runtime)
    assert len(scores.nats) == known.tokens == 49
    assert scores.nats.mean() == pytest.approx(known.loss, rel=1e-12)
    assert (scores.ranks == 0).mean() == pytest.approx(known.accuracy)


def test_scores_stand_in_the_order_of_the_text(model, runtime, text):
    scores = score_tokens(model, EvaluationWindows(text, 8), runtime)

    ids = torch.from_numpy(text.window(16, 9).astype(np.int64))
    logits = model.eval()(ids[None, :-1])[0].detach()
    probabilities = logits.softmax(dim=-1)
    of_target = probabilities[torch.arange(8), ids[1:]]
    assert scores.nats[16:24] == pytest.approx(-of_target.log().numpy(), rel=1e-5)
    assert scores.confidence[16:24] == pytest.approx(probabilities.amax(dim=-1).numpy(), rel=1e-5)
    likelier = (probabilities > of_target[:, None]).sum(dim=-1)
    assert scores.ranks[16:24].tolist() == likelier.tolist()
    assert scores.positions[16:24].tolist() == list(range(1, 9))


def test_under_a_document_mask_the_context_begins_with_the_document(model, runtime, text):
    scores = score_tokens(model, EvaluationWindows(text, 8, documents=True), runtime)

    # Tokens 8 to 15 are a window; the second document begins at 13.
    assert scores.positions[8:16].tolist() == [1, 2, 3, 4, 5, 1, 2, 3]


def test_a_model_without_an_opinion_hits_as_rarely_as_chance(runtime, text):
    class Uniform(torch.nn.Module):
        def forward(self, tokens, documents=None):
            return torch.zeros(*tokens.shape, 11)

    scores = score_tokens(Uniform(), EvaluationWindows(text, 8), runtime)

    ids = text.window(1, 49)
    assert scores.ranks.tolist() == ids.tolist()
    assert scores.confidence == pytest.approx(np.full(49, 1 / 11))


def test_the_loss_by_position_is_a_mean_over_ranges_that_double():
    found = by_position(scores_of([8, 4, 3, 1, 5, 5, 5, 1, 7], positions=[*range(1, 9), 1]))

    assert [(part.first, part.last) for part in found] == [(1, 1), (2, 2), (3, 4), (5, 8)]
    assert [part.tokens for part in found] == [2, 1, 2, 4]
    assert [part.loss for part in found] == [7.5, 4, 2, 4]


def test_calibration_compares_confidence_with_hits():
    scores = scores_of([1] * 5, ranks=[0, 3, 0, 0, 1], confidence=[0.31, 0.33, 0.95, 1.0, 0.38])

    low, high = calibration(scores)

    assert (low.tokens, low.accuracy, low.confidence) == (
        3,
        pytest.approx(1 / 3),
        pytest.approx(0.34),
    )
    assert (high.tokens, high.accuracy, high.confidence) == (2, 1.0, pytest.approx(0.975))
    assert calibration_error((low, high)) == pytest.approx((3 * (0.34 - 1 / 3) + 2 * 0.025) / 5)
    assert top_accuracy(scores, 1) == 0.6
    assert top_accuracy(scores, 3) == 0.8


def test_passages_are_documents_where_there_are_many_and_windows_where_not():
    nats = np.arange(199.0)
    many = passages(scores_of(nats), np.arange(0, 200, 10), window=50)
    few = passages(scores_of(nats), np.array([0, 120]), window=50)

    # Document 19 is tokens 190 to 199; its first token counts for nobody.
    assert (many[0].start, many[0].tokens, many[0].loss) == (190, 10, np.mean(range(190, 199)))
    assert [part.start for part in few] == [150, 100, 50, 0]


def test_short_documents_decide_nothing():
    starts = np.array([*range(0, 400, 20), 400])
    nats = np.zeros(402)
    nats[400:] = 50

    found = passages(scores_of(nats), starts, window=50)

    assert 400 not in [part.start for part in found]
    assert len(found) == 20


def test_bits_per_byte_leave_out_what_stands_for_no_bytes():
    found = bits_per_byte(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 3]))

    assert found == pytest.approx(4 / math.log(2) / 4)
    assert bits_per_byte(np.array([1.0]), np.array([0])) is None
