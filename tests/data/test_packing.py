"""Conversations in rows: which tokens are learned, and that none sees another conversation."""

import itertools

import numpy as np
import pytest
import torch

from gptkit.data.batches import IGNORE_INDEX
from gptkit.data.packing import EvaluationConversations, TrainingConversations
from gptkit.data.shards import InMemoryTokens
from gptkit.errors import DataError
from gptkit.model import GPT
from gptkit.model.config import ModelConfig
from gptkit.training import objective as objective_module
from gptkit.training.objective import NextTokenObjective

T = 16


def conversations(lengths, *, learned=2, seed=0):
    """Conversations of random tokens, of which the last `learned` are answers."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 50, sum(lengths)).astype(np.uint32)
    ends = np.cumsum(lengths)
    is_target = np.zeros(len(tokens), bool)
    for end in ends:
        is_target[end - learned : end] = True
    return InMemoryTokens(tokens, np.concatenate([[0], ends[:-1]]).astype(np.int64)), is_target


def training(lengths=(5, 9, 4, 7, 12, 3, 8), size=2, seed=1, **more):
    return TrainingConversations(*conversations(lengths, **more), size, T, seed=seed)


def contents(batch):
    """Return every conversation of a batch as tokens and targets."""
    found = []
    for tokens, targets, documents in zip(
        batch.tokens, batch.targets, batch.documents, strict=True
    ):
        for number in documents.unique().tolist():
            here = documents == number
            if (targets[here] != IGNORE_INDEX).any():
                found.append((tuple(tokens[here].tolist()), tuple(targets[here].tolist())))
    return found


def test_an_epoch_holds_every_conversation_once():
    windows = training(size=1)
    tokens, is_target = conversations((5, 9, 4, 7, 12, 3, 8))
    expected = []
    for start, length in zip(tokens.document_starts, (5, 9, 4, 7, 12, 3, 8), strict=True):
        ids = tokens.window(int(start), length).astype(int)
        learned = is_target[start + 1 : start + length]
        targets = np.where(learned, ids[1:], IGNORE_INDEX)
        expected.append((tuple(ids[:-1].tolist()), tuple(targets.tolist())))

    for epoch in range(3):
        first = epoch * windows.num_windows
        batches = [windows.batch(first + i) for i in range(windows.num_windows)]
        assert sorted(itertools.chain(*map(contents, batches))) == sorted(expected)


def test_epochs_have_an_order_of_their_own():
    windows = training([3] * 60, size=1)

    orders = [
        [
            windows.batch(epoch * windows.num_windows + i).tokens.tolist()
            for i in range(windows.num_windows)
        ]
        for epoch in range(2)
    ]

    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_a_batch_is_a_function_of_its_index_however_it_is_cut():
    windows = training(size=4)
    wide = windows.batch(1)
    windows.batch(9)
    narrow = [training(size=1).batch(i) for i in range(4, 8)]

    assert torch.equal(windows.batch(1).tokens, wide.tokens)
    assert torch.equal(torch.cat([batch.tokens for batch in narrow]), wide.tokens)
    assert torch.equal(windows.of_size(1).batch(6).targets, wide.targets[2:3])


def test_a_long_conversation_is_cut_at_its_end_and_counted():
    packing = training([40, 5], learned=30, size=1).packing

    assert (packing.num_cut, packing.num_left_out) == (1, 0)


def test_what_has_no_answer_within_the_context_is_left_out_and_counted():
    windows = training([40, 5], size=1)

    assert (windows.packing.num_cut, windows.packing.num_left_out) == (0, 1)
    assert windows.num_windows == 1


def test_a_conversation_that_just_fits_is_not_cut():
    fits, too_long = training([T + 1]), training([T + 2], learned=5)

    assert fits.packing.num_cut == 0
    assert contents(fits.batch(0))[0][1][-1] != IGNORE_INDEX
    assert too_long.packing.num_cut == 1


def test_data_without_an_answer_in_reach_are_refused():
    with pytest.raises(DataError, match="none of 2 conversations"):
        training([40, 50])


def test_what_comes_after_the_last_answer_takes_no_room():
    tokens, is_target = conversations([10])
    is_target[:] = [False] * 3 + [True] * 2 + [False] * 5

    batch = TrainingConversations(tokens, is_target, 1, T, seed=0).batch(0)

    assert (batch.documents == 0).sum() == 4


def test_evaluation_scores_each_answer_once_in_the_order_of_the_data():
    lengths = (5, 9, 4, 7, 12, 3, 8)
    tokens, is_target = conversations(lengths)

    batches = list(EvaluationConversations(tokens, is_target, T))

    targets = torch.cat([batch.targets.flatten() for batch in batches])
    assert (
        targets[targets != IGNORE_INDEX].tolist()
        == tokens.window(0, sum(lengths))[is_target].tolist()
    )


@pytest.fixture
def objective():
    config = ModelConfig(n_layer=2, n_head=2, n_embd=16, context_length=T, dropout=0.0)
    model = GPT(config, 50)
    model.init_weights(0)
    return NextTokenObjective(model)


def test_a_packed_batch_learns_what_its_conversations_learn_one_by_one(objective):
    tokens, is_target = conversations((5, 9, 4, 7, 12, 3, 8))
    packed = EvaluationConversations(tokens, is_target, T).batch(0)
    nats = objective(packed.tokens, packed.targets, packed.documents)
    nats.backward()
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters()}
    objective.zero_grad()

    alone = torch.zeros(())
    for ids, targets in contents(packed):
        part = objective(torch.tensor([ids]), torch.tensor([targets]))
        part.backward()
        alone += part.detach()

    assert torch.allclose(nats.detach(), alone, rtol=1e-5)
    for name, parameter in objective.named_parameters():
        assert torch.allclose(gradients[name], parameter.grad, atol=1e-5), name


@pytest.mark.parametrize("chunk_logits", [1 << 24, 3 * 50], ids=["whole logits", "in chunks"])
def test_what_the_user_says_as_a_target_has_no_gradient(objective, monkeypatch, chunk_logits):
    tokens, is_target = conversations((5, 9, 4))
    batch = EvaluationConversations(tokens, is_target, T).batch(0)
    monkeypatch.setattr(objective_module, "chunk_logits", lambda device: chunk_logits)
    # Past the final norm a position's gradient is that of its own target alone.
    found = []
    hidden = objective.model.hidden

    def watched(*args, **more):
        found.append(hidden(*args, **more).detach().requires_grad_())
        return found[0]

    monkeypatch.setattr(objective.model, "hidden", watched)
    objective(batch.tokens, batch.targets, batch.documents).backward()

    of_prompts = batch.targets == IGNORE_INDEX
    assert (found[0].grad[of_prompts] == 0).all()
    assert (found[0].grad[~of_prompts].abs().sum(-1) > 0).all()


def test_no_logit_depends_on_another_conversation(objective):
    tokens, is_target = conversations((5, 9, 4))
    batch = EvaluationConversations(tokens, is_target, T).batch(0)
    first = batch.documents == 0
    changed = torch.where(first, (batch.tokens + 1) % 50, batch.tokens)

    before = objective.model(batch.tokens, documents=batch.documents)
    after = objective.model(changed, documents=batch.documents)

    assert torch.equal(before[~first], after[~first])
    assert not torch.equal(before[first], after[first])


def pairs(lengths, **more):
    """Pairs of (chosen, rejected) lengths."""
    return conversations([length for pair in lengths for length in pair], **more)


def test_an_epoch_holds_every_pair_once_each_side_in_its_row():
    lengths = [(5, 9), (4, 7), (12, 3), (8, 8), (6, 14)]
    tokens, is_target = pairs(lengths)
    margins = np.arange(5.0)
    windows = TrainingConversations(tokens, is_target, 1, T, seed=3, margins=margins)
    ends = np.cumsum([length for pair in lengths for length in pair]).tolist()
    starts = [0, *ends[:-1]]
    expected = {
        margin: [tuple(tokens.window(a, b - a - 1).tolist()) for a, b in sides]
        for margin, sides in enumerate(
            zip(zip(starts[::2], ends[::2], strict=True), zip(starts[1::2], ends[1::2], strict=True), strict=True)
        )
    }  # fmt: skip

    found = {}
    for i in range(windows.num_windows):
        batch = windows.batch(i)
        assert batch.tokens.shape == (2, T)
        for k, margin in enumerate(batch.margins[0].tolist()):
            if margin == margin:
                sides = [batch.tokens[side][batch.documents[side] == k] for side in (0, 1)]
                found[int(margin)] = [tuple(side.tolist()) for side in sides]

    assert found == expected


def test_a_pair_is_left_out_where_one_side_has_no_answer_in_reach():
    tokens, is_target = pairs([(5, 40), (40, 5), (6, 7)])

    packing = EvaluationConversations(tokens, is_target, T, margins=np.zeros(3)).packing

    assert (packing.num_left_out, packing.num_items, packing.order.tolist()) == (2, 3, [2])


def test_a_pair_that_is_cut_is_counted_once():
    tokens, is_target = pairs([(40, 40), (40, 20)], learned=30)

    packing = EvaluationConversations(tokens, is_target, T, margins=np.zeros(2)).packing

    assert packing.num_cut == 2
