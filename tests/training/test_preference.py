"""DPO: the loss by hand, in batches and one by one, and what learning from it does."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gptkit.data.batches import IGNORE_INDEX, PairBatch
from gptkit.data.packing import EvaluationConversations, TrainingConversations
from gptkit.data.shards import InMemoryTokens
from gptkit.runtime import Runtime
from gptkit.training import objective as objective_module
from gptkit.training import preference
from gptkit.training.preference import DPOObjective, evaluate_pairs, pair_log_probs

T = 8
BETA = 0.3
# (chosen, rejected): tokens, and how many of the last ones are the answer.
PAIRS = [
    (([1, 2, 3, 4], 2), ([1, 2, 5], 1)),
    (([7, 3], 1), ([7, 8, 9, 10, 1], 4)),
    (([4, 4, 6, 2, 2], 1), ([4, 4, 6, 1], 1)),
    (([9, 1, 2], 2), ([9, 5, 5], 2)),
    (([2, 6, 6, 6, 6, 6, 6, 6], 3), ([2, 6, 6, 6, 6, 6, 7], 2)),
]
MARGINS = np.array([0.4, -1.0, 0.0, 2.5, -0.3])


def data(pairs=PAIRS):
    """Return tokens and targets as prepared folders hold them."""
    sides = [side for pair in pairs for side in pair]
    tokens = [token for ids, _ in sides for token in ids]
    learned = [i >= len(ids) - answer for ids, answer in sides for i in range(len(ids))]
    starts = np.cumsum([0, *[len(ids) for ids, _ in sides[:-1]]]).astype(np.int64)
    return InMemoryTokens(np.array(tokens, np.uint16), starts), np.array(learned)


def windows(margins=MARGINS, pairs=PAIRS):
    return EvaluationConversations(*data(pairs), T, margins=margins)


def log_prob(model, side):
    """ln P of an answer, in plain steps."""
    ids, answer = side
    log_probs = model(torch.tensor([ids[:-1]]))[0].log_softmax(-1)
    first = len(ids) - answer
    return sum(log_probs[i - 1, ids[i]] for i in range(first, len(ids)))


def loss_by_hand(model, pair, margin):
    chosen, rejected = (log_prob(model, side) for side in pair)
    return torch.log(1 + torch.exp(-BETA * (chosen - rejected - margin)))


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


def test_the_loss_is_that_of_the_paper(make_model):
    model = make_model().eval()
    packed = windows().batch(0)

    found = DPOObjective(model, BETA)(packed.tokens, packed.targets, **packed.inputs())

    expected = sum(loss_by_hand(model, *one) for one in zip(PAIRS, MARGINS, strict=True))
    assert packed.num_learned() == len(PAIRS)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_a_packed_batch_learns_what_its_pairs_learn_one_by_one(make_model):
    model = make_model()
    objective = DPOObjective(model, BETA)
    packed = windows().batch(0)
    assert packed.tokens.shape[0] < 2 * len(PAIRS)
    together = objective(packed.tokens, packed.targets, **packed.inputs())
    together.backward()
    of_batch = gradients(model)

    alone = torch.zeros(())
    for pair, margin in zip(PAIRS, MARGINS, strict=True):
        one = windows(np.array([margin]), [pair]).batch(0)
        part = objective(one.tokens, one.targets, **one.inputs())
        part.backward()
        alone += part.detach()

    torch.testing.assert_close(together.detach(), alone, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradients(model), of_batch, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"tie_embeddings": False, "logit_softcap": 0.5}])
def test_chunks_give_the_loss_and_the_gradients_of_the_logits(make_model, monkeypatch, settings):
    model = make_model(**settings)
    objective, batch = DPOObjective(model, BETA), windows().batch(0)
    expected = objective(batch.tokens, batch.targets, **batch.inputs())
    expected.backward()
    plain = gradients(model)
    calls, original = [], preference.checkpoint
    for module in (preference, objective_module):
        monkeypatch.setattr(module, "chunk_logits", lambda device: 2 * 11)
    monkeypatch.setattr(
        preference, "checkpoint", lambda *a, **k: calls.append(a) or original(*a, **k)
    )

    found = objective(batch.tokens, batch.targets, **batch.inputs())
    found.backward()

    assert len(calls) == batch.tokens.numel() // 2
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(model), plain)


def test_the_model_that_training_begins_with_has_a_loss_of_ln_2(make_model, runtime):
    model = make_model()
    log_probs = pair_log_probs(model, windows(), runtime)

    found = evaluate_pairs(model, windows(log_probs[:, 0] - log_probs[:, 1]), runtime, BETA)

    by_hand = [[log_prob(model.eval(), side).item() for side in pair] for pair in PAIRS]
    np.testing.assert_allclose(log_probs, by_hand, rtol=1e-5)
    assert found.loss == pytest.approx(math.log(2), abs=1e-6)
    assert found.reward_margin == pytest.approx(0, abs=1e-6)


def test_an_evaluation_is_the_mean_over_the_pairs(make_model, runtime):
    model = make_model(dropout=0.5).train()

    found = evaluate_pairs(model, windows(), runtime, BETA)

    assert model.training
    model.eval()
    sides = [[log_prob(model, side).item() for side in pair] for pair in PAIRS]
    rewards = [BETA * (c - r - m) for (c, r), m in zip(sides, MARGINS, strict=True)]
    assert found.tokens == len(PAIRS)
    assert found.reward_margin == pytest.approx(np.mean(rewards), rel=1e-5)
    assert found.accuracy == np.mean([reward > 0 for reward in rewards])
    assert found.loss == pytest.approx(np.mean([math.log(1 + math.exp(-x)) for x in rewards]))


def test_ranks_score_each_pair_once_between_them(make_model):
    model, split = make_model(), windows()
    split._rows = 1  # an odd number of batches for two ranks
    whole = pair_log_probs(model, split, Runtime(torch.device("cpu")))
    others: list[torch.Tensor] = []

    class Rank(Runtime):
        def sum_over_ranks(self, value):
            others.append(value)
            return counts if value.dtype == torch.int64 else value

    counts = torch.tensor([split.batch(i).num_learned() for i in range(len(split))])
    parts = [
        pair_log_probs(model, split, Rank(torch.device("cpu"), rank=rank, world_size=2))
        for rank in range(2)
    ]

    assert torch.equal(others[0] + others[2], counts)
    np.testing.assert_allclose(sum(parts), whole)
    assert ((parts[0] == 0) ^ (parts[1] == 0)).all()


def test_an_empty_place_counts_for_nothing_and_moves_nothing(make_model):
    model = make_model()
    batch = EvaluationConversations(*data(), T, margins=MARGINS).packing.stack(np.array([0]), 3)
    assert batch.margins.isnan().any()

    loss = DPOObjective(model, BETA)(batch.tokens, batch.targets, **batch.inputs())
    loss.backward()

    few = [loss_by_hand(model, *one) for one in zip(PAIRS, MARGINS, strict=True)]
    torch.testing.assert_close(loss, sum(few[: int(batch.num_learned())]), rtol=1e-5, atol=0)
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())


def test_what_both_answers_begin_with_has_no_gradient_as_a_target(make_model):
    batch = windows().batch(0)
    logits = torch.randn(*batch.tokens.shape, 11, requires_grad=True)

    class Fixed(torch.nn.Module):
        head_weight = None

        def hidden(self, tokens, *, documents):
            return logits

        def unembed(self, hidden):
            return hidden

    DPOObjective(Fixed(), BETA)(batch.tokens, batch.targets, **batch.inputs()).backward()

    of_prompts = batch.targets == IGNORE_INDEX
    assert (logits.grad[of_prompts] == 0).all()
    assert (logits.grad[~of_prompts].abs().sum(-1) > 0).all()


def test_learning_from_pairs_raises_the_margin_of_others(make_model, runtime):
    rng = np.random.default_rng(0)

    def drawn(count):
        # Which token is liked depends on the prompt: 1 after an even one, 2 after an odd one.
        prompts = rng.integers(3, 11, (count, 2)).tolist()
        good = [1 + prompt[-1] % 2 for prompt in prompts]
        return [(([*p, g], 1), ([*p, 3 - g], 1)) for p, g in zip(prompts, good, strict=True)]

    model, learned, held_out = make_model(), drawn(64), drawn(32)
    margins = []
    for pairs in (learned, held_out):
        log_probs = pair_log_probs(model, windows(np.zeros(len(pairs)), pairs), runtime)
        margins.append(log_probs[:, 0] - log_probs[:, 1])
    val = windows(margins[1], held_out)
    training = TrainingConversations(*data(learned), 8, T, seed=0, margins=margins[0])
    objective = DPOObjective(model, BETA)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(40):
        batch = training.batch(step)
        loss = objective(batch.tokens, batch.targets, **batch.inputs()) / batch.num_learned()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    found = evaluate_pairs(model, val, runtime, BETA)

    assert found.accuracy > 0.9
    assert found.reward_margin > 0.5


def test_the_loss_is_that_of_transformers_on_the_same_weights():
    transformers = pytest.importorskip("transformers")
    from tests.model import test_parity as peer

    model = peer.modern_model(peer.MODERN_SHAPES[1], tie_embeddings=True, qk_norm=True)
    theirs = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(**peer.modern_settings(model))
    ).eval()
    peer.load(theirs, peer.modern_weights(model))
    batch = windows().batch(0)
    ours = DPOObjective(model, BETA)(batch.tokens, batch.targets, **batch.inputs())

    def their_log_prob(ids, answer):
        labels = torch.tensor([[IGNORE_INDEX] * (len(ids) - answer) + ids[-answer:]])
        return -theirs(torch.tensor([ids]), labels=labels).loss * answer  # a mean over the answer

    with torch.no_grad():
        expected = sum(
            -F.logsigmoid(BETA * (their_log_prob(*chosen) - their_log_prob(*rejected) - margin))
            for (chosen, rejected), margin in zip(PAIRS, MARGINS, strict=True)
        )
    torch.testing.assert_close(ours.detach(), expected.float(), rtol=1e-4, atol=0)


def test_a_batch_of_pairs_moves_whole():
    batch = windows().batch(0)

    moved = batch.to(torch.device("meta"))

    assert isinstance(moved, PairBatch)
    assert {x.device.type for x in (moved.tokens, moved.targets, *moved.inputs().values())} == {
        "meta"
    }
