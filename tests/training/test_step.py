import itertools

import pytest
import torch
from torch.amp.grad_scaler import GradScaler

from gptkit.data.batches import IGNORE_INDEX, Batch, TrainingWindows
from gptkit.errors import DivergenceError
from gptkit.runtime import Runtime
from gptkit.training.feed import micro_batch_indices
from gptkit.training.objective import NextTokenObjective
from gptkit.training.step import train_step
from gptkit.training.update import Update


@pytest.fixture
def make_objective(make_model):
    return lambda **settings: NextTokenObjective(make_model(**settings))


def batch_of(rows, *, masked=0):
    torch.manual_seed(3)
    tokens = torch.randint(11, (rows, 8))
    targets = torch.randint(11, (rows, 8))
    targets.flatten()[:masked] = IGNORE_INDEX
    return Batch(tokens, targets)


def cut(batch, rows):
    pairs = zip(batch.tokens.split(rows), batch.targets.split(rows), strict=True)
    return [Batch(tokens, targets) for tokens, targets in pairs]


def step_of(objective, micro_batches, runtime, *, grad_clip=None, learning_rate=1.0):
    optimizer = torch.optim.SGD(objective.parameters(), lr=learning_rate)
    update = Update(optimizer, grad_clip=grad_clip, runtime=runtime)
    return train_step(objective, micro_batches, update, step=0, seed=1, runtime=runtime)


@pytest.mark.parametrize("masked", [0, 13])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_accumulated_gradient_equals_that_of_the_large_batch(make_objective, runtime, rows, masked):
    whole, parts = make_objective(), make_objective()
    batch = batch_of(8, masked=masked)

    expected = step_of(whole, [batch], runtime)
    found = step_of(parts, cut(batch, rows), runtime)

    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(parts.state_dict(), whole.state_dict(), rtol=0, atol=1e-6)


def test_a_batch_without_targets_changes_nothing(make_objective, runtime):
    objective = make_objective()
    before = {name: weight.clone() for name, weight in objective.state_dict().items()}

    step_of(objective, [batch_of(2, masked=16)], runtime)

    torch.testing.assert_close(objective.state_dict(), before, rtol=0, atol=0)


def test_clipping_measures_the_gradient_of_all_micro_batches_together(make_objective, runtime):
    objective = make_objective()
    before = torch.cat([p.detach().flatten().clone() for p in objective.parameters()])

    result = step_of(objective, cut(batch_of(8), 2), runtime, grad_clip=0.01)

    after = torch.cat([p.detach().flatten() for p in objective.parameters()])
    assert result.grad_norm > 0.1
    torch.testing.assert_close((after - before).norm(), torch.tensor(0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("ranks, accumulation", [(1, 4), (2, 2), (4, 1)])
def test_every_way_to_cut_a_step_sees_the_same_windows(make_text, ranks, accumulation):
    windows = TrainingWindows(make_text(), 2, 8, seed=5)
    runtimes = [Runtime(torch.device("cpu"), rank=r, world_size=ranks) for r in range(ranks)]

    seen = []
    for runtime in runtimes:
        indices = micro_batch_indices(3, accumulation=accumulation, runtime=runtime)
        for index in itertools.islice(indices, 2 * accumulation):
            seen += windows.batch(index).tokens.tolist()

    expected = [row for index in range(12, 20) for row in windows.batch(index).tokens.tolist()]
    assert sorted(seen) == sorted(expected)


def test_one_batch_can_be_learned_by_heart(make_objective, runtime):
    objective = make_objective()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2)
    update = Update(optimizer, grad_clip=1.0, runtime=runtime)
    batch = batch_of(1)

    for step in range(100):
        result = train_step(objective, [batch], update, step=step, seed=1, runtime=runtime)

    assert result.loss < 0.1


def test_dropout_depends_on_seed_step_and_micro_batch_alone(make_objective, runtime):
    first, second = make_objective(dropout=0.5), make_objective(dropout=0.5)
    step_of(first, cut(batch_of(4), 2), runtime)
    torch.rand(5)

    step_of(second, cut(batch_of(4), 2), runtime)

    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


class Broken(NextTokenObjective):
    """An objective whose loss is not a number."""

    def forward(self, tokens, targets, documents=None):
        return super().forward(tokens, targets, documents) * float("nan")


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(make_objective, runtime):
    objective = make_objective()
    before = {name: weight.clone() for name, weight in objective.state_dict().items()}

    with pytest.raises(DivergenceError, match=r"step 1: training diverged: loss nan") as caught:
        step_of(Broken(objective.model), [batch_of(2)], runtime)

    assert caught.value.exit_code == 4
    torch.testing.assert_close(objective.state_dict(), before, rtol=0, atol=0)


def test_where_the_host_looks_later_no_step_after_the_fault_changes_anything(
    make_objective, runtime
):
    objective = make_objective()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2, fused=True)
    update = Update(optimizer, grad_clip=1.0, runtime=runtime)
    update._looks_later = True  # as on CUDA
    batch = batch_of(2)
    train_step(objective, [batch], update, step=0, seed=1, runtime=runtime)
    update.check()
    before = {name: weight.clone() for name, weight in objective.state_dict().items()}

    train_step(Broken(objective.model), [batch], update, step=1, seed=1, runtime=runtime)
    train_step(objective, [batch], update, step=2, seed=1, runtime=runtime)

    torch.testing.assert_close(objective.state_dict(), before, rtol=0, atol=0)
    assert all(state["step"] == 1 for state in optimizer.state.values())
    with pytest.raises(DivergenceError, match=r"step 2: training diverged: loss nan"):
        update.check()


def scaled_runtime(init_scale):
    scaler = GradScaler("cpu", init_scale=init_scale)
    return Runtime(torch.device("cpu"), scaler=scaler)


def test_a_scaled_gradient_that_overflows_is_left_out_and_scaled_less(make_objective):
    runtime = scaled_runtime(4.0)
    objective = make_objective()
    before = {name: weight.clone() for name, weight in objective.state_dict().items()}

    step_of(Overflowing(objective.model), [batch_of(2)], runtime)

    torch.testing.assert_close(objective.state_dict(), before, rtol=0, atol=0)
    assert runtime.scaler.get_scale() == 2.0


def test_a_scaled_gradient_gives_the_step_of_the_plain_one(make_objective, runtime):
    plain, scaled = make_objective(), make_objective()

    step_of(plain, [batch_of(2)], runtime, grad_clip=0.1)
    step_of(scaled, [batch_of(2)], scaled_runtime(2.0**10), grad_clip=0.1)

    torch.testing.assert_close(scaled.state_dict(), plain.state_dict())


def test_a_gradient_that_overflows_without_scaling_diverges(make_objective):
    runtime = scaled_runtime(0.5)

    with pytest.raises(DivergenceError, match=r"step 1: training diverged"):
        step_of(Overflowing(make_objective().model), [batch_of(2)], runtime)


class _Overflow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("inf")


class Overflowing(NextTokenObjective):
    """An objective with a finite loss and an infinite gradient."""

    def forward(self, tokens, targets, documents=None):
        return _Overflow.apply(super().forward(tokens, targets, documents))
