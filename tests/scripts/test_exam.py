"""The exam in short: a small language is learned, and what is broken does not pass."""

import pytest
import torch
from exam import CONTEXT_LENGTH, QUESTIONS, Mark, Question, ask
from synthetic import Copying, Markov

from gptkit.data import batches
from gptkit.model import attention, positions

SMALL = {
    "model.n_embd": 32,
    "training.preflight": False,
    "training.batch_size": 16,
    "runtime.device": "cpu",
    "optimizer.learning_rate": 1e-2,
}


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """Return a function that lets a small model learn a language and returns its mark."""
    monkeypatch.setenv("GPTKIT_DATA", str(tmp_path / "data"))

    def run(language, steps, **settings):
        question = Question(language, 0.05, steps, {**SMALL, **settings}, text_tokens=60_000)
        return ask(question, tmp_path)

    return run


def test_a_small_chain_is_learned(answer):
    mark = answer(Markov(vocab_size=3), 120)

    assert mark.passes(0.05), mark


def leak(monkeypatch):
    def attend(q, k, v, **options):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v)

    monkeypatch.setattr(attention, "attend", attend)


def shift(monkeypatch):
    plain = batches._stack

    def stack(*args):
        batch = plain(*args)
        return batches.Batch(batch.tokens, batch.targets.roll(-1, dims=1))

    monkeypatch.setattr(batches, "_stack", stack)


def test_a_mask_that_leaks_is_better_than_possible(answer, monkeypatch):
    leak(monkeypatch)

    mark = answer(Markov(vocab_size=3), 200)

    assert mark.regret < -0.1
    assert not mark.passes(0.05)


def test_a_target_that_is_shifted_is_far_from_possible(answer, monkeypatch):
    shift(monkeypatch)

    assert answer(Markov(vocab_size=3), 120).regret > 0.1


def test_a_position_that_is_lost_does_not_pass(answer, monkeypatch):
    plain = positions.RotaryPositions.rotation
    monkeypatch.setattr(
        positions.RotaryPositions, "rotation", lambda self, where: plain(self, 0 * where)
    )

    mark = answer(Copying(symbols=4, length=3), 150)

    assert not mark.passes(0.05)


def test_a_mark_passes_within_its_tolerance_and_not_below_luck():
    assert Mark(loss=1.009, best=1.0, error=0.001, seconds=1).passes(0.01)
    assert Mark(loss=0.997, best=1.0, error=0.001, seconds=1).passes(0.01)
    assert not Mark(loss=1.011, best=1.0, error=0.001, seconds=1).passes(0.01)
    assert not Mark(loss=0.99, best=1.0, error=0.001, seconds=1).passes(0.01)


def test_windows_begin_at_all_places_of_every_language():
    assert CONTEXT_LENGTH % 2 and CONTEXT_LENGTH % 3  # brackets; sums
    assert all(CONTEXT_LENGTH % prime for prime in (2, 11))  # 22, the rows of a copy
    assert {"markov", "dyck", "copy"} <= set(QUESTIONS)
