"""Windows of tokens."""

import itertools

import numpy as np
import pytest
import torch

from gptkit.data.batches import IGNORE_INDEX, EvaluationWindows, TrainingWindows
from gptkit.data.shards import InMemoryTokens


def row_of(n, starts=(0,)):
    """Tokens whose value is their place."""
    return InMemoryTokens(np.arange(n, dtype=np.uint32), np.array(starts, np.int64))


def training(n=103, batch=3, context=5, seed=1, **more):
    return TrainingWindows(row_of(n), batch, context, seed=seed, **more)


def epoch_starts(windows, epoch):
    first = epoch * windows.num_windows
    return windows.starts(np.arange(first, first + windows.num_windows)).tolist()


def test_targets_are_the_next_tokens():
    batch = training().batch(3)

    assert batch.tokens.shape == batch.targets.shape == (3, 5)
    assert batch.tokens.dtype == torch.int64
    assert torch.equal(batch.targets, batch.tokens + 1)
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])


def test_the_same_index_gives_the_same_batch():
    windows = training()
    first = windows.batch(2).tokens
    windows.batch(50)

    assert torch.equal(first, windows.batch(2).tokens)
    assert torch.equal(first, training().batch(2).tokens)


@pytest.mark.parametrize("n", [6, 7, 10, 11, 12, 101, 103, 104, 105, 106])
def test_an_epoch_visits_every_window_once(n):
    windows = training(n)

    for epoch in range(4):
        starts = sorted(epoch_starts(windows, epoch))

        assert len(set(starts)) == windows.num_windows == (n - 1) // 5
        inner = [start for start in starts if start > 0]
        assert all(later - earlier == 5 for earlier, later in itertools.pairwise(inner))
        assert starts[-1] + 5 < n


def test_epochs_differ_in_order_and_in_cuts():
    windows = training(503)

    first, second = epoch_starts(windows, 0), epoch_starts(windows, 1)

    assert first != second
    assert len({tuple(sorted(epoch_starts(windows, epoch))) for epoch in range(10)}) > 1


def test_every_token_becomes_a_target_sooner_or_later():
    windows = training(23)

    seen = {int(x) for i in range(200) for x in windows.batch(i).targets.flatten()}

    assert seen == set(range(1, 23))


def test_seeds_give_different_orders():
    assert epoch_starts(training(503, seed=1), 0) != epoch_starts(training(503, seed=2), 0)


@pytest.mark.parametrize(("world_size", "accumulation"), [(1, 4), (2, 2), (4, 1)])
def test_ranks_and_accumulation_do_not_change_what_a_step_sees(world_size, accumulation):
    windows = training(batch=2)

    for step in range(12):
        indices = [
            (step * accumulation + i) * world_size + rank
            for i in range(accumulation)
            for rank in range(world_size)
        ]
        seen = torch.cat([windows.batch(index).tokens for index in sorted(indices)])

        assert torch.equal(seen, training(batch=8).batch(step).tokens)


def test_a_batch_may_lie_on_the_border_of_two_epochs():
    windows = training(32, batch=4, context=5)  # 6 windows
    border = windows.batch(1).tokens[:, 0].tolist()

    assert border == windows.starts(np.arange(4, 8)).tolist()


def test_windows_say_which_document_each_token_belongs_to():
    tokens = row_of(40, starts=[0, 7, 8, 20])
    windows = TrainingWindows(tokens, 4, 6, seed=0, documents=True)

    batch = windows.batch(0)

    expected = np.searchsorted([0, 7, 8, 20], batch.tokens.numpy(), side="right") - 1
    assert batch.documents.tolist() == expected.tolist()


def test_without_the_mask_there_are_no_document_numbers():
    assert training().batch(0).documents is None


@pytest.mark.parametrize("n", [2, 3, 7, 8, 9, 15, 16, 17, 50])
@pytest.mark.parametrize("stride", [None, 1, 3, 7, 8])
def test_evaluation_scores_every_token_but_the_first_once(n, stride):
    windows = EvaluationWindows(row_of(n), 8, stride)

    scored = [int(x) for batch in windows for x in batch.targets.flatten() if x != IGNORE_INDEX]

    assert sorted(scored) == list(range(1, n))
    assert windows.num_targets == n - 1


def test_evaluation_targets_follow_their_tokens():
    for batch in EvaluationWindows(row_of(50), 8, 3):
        counts = batch.targets != IGNORE_INDEX

        assert torch.equal(batch.targets[counts], batch.tokens[counts] + 1)


def test_with_a_stride_later_tokens_have_a_long_past():
    windows = EvaluationWindows(row_of(50), 8, 2)

    positions = [
        position
        for batch in windows
        for row in batch.targets[1:]
        for position in (row != IGNORE_INDEX).nonzero().flatten().tolist()
    ]

    assert min(positions) == 6


def test_evaluation_batches_have_one_shape():
    windows = EvaluationWindows(row_of(3000), 8)
    wide = EvaluationWindows(row_of(30_000), 8)

    assert {batch.tokens.shape for batch in windows} == {(375, 8)}
    assert {batch.tokens.shape for batch in wide} == {(1024, 8)}
    assert len(list(wide)) == len(wide) == 4


def test_evaluation_windows_say_their_documents():
    tokens = row_of(20, starts=[0, 5, 11])

    (batch,) = EvaluationWindows(tokens, 8, documents=True)

    assert batch.documents[:2].tolist() == [[0] * 5 + [1] * 3, [1] * 3 + [2] * 5]


def test_a_batch_moves_to_a_device():
    batch = training(documents=True).batch(0).to(torch.device("meta"))

    assert batch.tokens.device == batch.targets.device == batch.documents.device
    assert batch.tokens.device.type == "meta"
