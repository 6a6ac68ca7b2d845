"""Faulty steps: a run goes back to its last milestone and beyond the windows that hurt it."""

import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from gptkit.errors import DivergenceError, GptkitError

SETTINGS = {"max_steps": 12, "save_every": 4, "eval_every": 100, "on_divergence": "rollback"}
PER_STEP = 2  # micro-batches


class Trap(nn.Module):
    """The objective, but the micro-batch whose first row is one of `bad` has a loss of our making."""

    def __init__(self, objective, bad, factor):
        super().__init__()
        self.objective = objective
        self.bad = bad
        self.factor = factor

    def forward(self, tokens, targets, documents=None):
        nats = self.objective(tokens, targets, documents=documents)
        hurt = any(torch.equal(tokens[0], row) for row in self.bad)
        return nats * self.factor if hurt else nats


def rows_of(run, *data_steps):
    """Return the first rows of the micro-batches of steps of the data, from 0."""
    return [run.windows.batch(PER_STEP * step).tokens[0] for step in data_steps]


def trapped(make_run, *data_steps, factor=float("nan"), **settings):
    run = make_run({**SETTINGS, **settings}, dropout=0.2)
    run.replica = Trap(run.replica, rows_of(run, *data_steps), factor)
    return run


def test_a_run_goes_back_to_its_last_milestone_and_on_past_the_windows_since_then(make_run):
    run = trapped(make_run, 6)

    outcome = run.train()

    assert outcome.progress.step == 12
    assert run.events.index(("go back", 4)) == run.events.index(("log", 6)) + 1
    assert sorted(run.lines) == list(range(1, 13))
    assert outcome.progress.rollbacks == 1
    assert outcome.progress.skipped_steps == 3  # the data of steps 5, 6 and 7
    assert outcome.progress.tokens == 12 * 4 * 8
    assert [run.lines[step].get("rollbacks") for step in (4, 5, 12)] == [None, 1, 1]


def test_going_back_gives_the_state_of_the_milestone_and_half_the_learning_rate(make_run):
    run = trapped(make_run, 6)
    run.train()

    by_hand = make_run({**SETTINGS})
    by_hand.resume(run.saved[4])
    by_hand.progress.rollbacks, by_hand.progress.skipped_steps = 1, 3
    by_hand.train()

    torch.testing.assert_close(run.weights(), by_hand.weights(), rtol=0, atol=0)
    untroubled = make_run(SETTINGS)
    untroubled.train()
    assert run.lines[8]["learning_rate"] == pytest.approx(
        untroubled.lines[8]["learning_rate"] / 2, rel=1e-12
    )

    assert run.progress.losses == by_hand.progress.losses


def test_before_the_first_milestone_a_run_goes_back_to_its_beginning(make_run):
    run = trapped(make_run, 1)
    run.train()

    fresh = make_run(SETTINGS)
    fresh.progress.rollbacks, fresh.progress.skipped_steps = 1, 2
    fresh.train()

    torch.testing.assert_close(run.weights(), fresh.weights(), rtol=0, atol=0)
    assert run.progress == fresh.progress


def test_checkpoints_by_the_clock_do_not_change_where_a_run_goes_back_to(make_run):
    run = trapped(make_run, 6)
    run.train()
    clock = trapped(make_run, 6, save_minutes=1e-9)
    clock.train()

    assert ("save", 6) in clock.events
    torch.testing.assert_close(run.weights(), clock.weights(), rtol=0, atol=0)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e6])
def test_nothing_of_a_faulty_step_is_ever_saved(make_run, factor):
    run = trapped(make_run, 2, 7, factor=factor)

    run.train()

    assert run.progress.rollbacks == 2
    for snapshot in run.saved.values():
        assert all(tensor.isfinite().all() for tensor in snapshot.weights.values())


@pytest.mark.parametrize("stop", [5, 6])
def test_a_resumed_run_goes_back_to_where_an_uninterrupted_one_does(make_run, stop):
    whole = trapped(make_run, 6)
    whole.train()

    first = trapped(make_run, 6)

    def log_and_signal(metrics, step, log=first._log):
        log(metrics, step)
        if step == stop - 1:
            first.interrupt.signal_number = signal.SIGTERM

    first._log = log_and_signal
    assert first.train().signal_number == signal.SIGTERM
    second = trapped(make_run, 6)
    second.resume(first.saved[stop])
    second.good = first.saved[4]
    second.train()

    torch.testing.assert_close(second.weights(), whole.weights(), rtol=0, atol=0)
    assert second.progress == whole.progress


def test_a_run_resumed_after_a_rollback_ends_like_one_that_was_not(make_run):
    whole = trapped(make_run, 6)
    whole.train()

    again = trapped(make_run, 6)
    again.resume(whole.saved[8])
    again.train()

    torch.testing.assert_close(again.weights(), whole.weights(), rtol=0, atol=0)
    assert again.progress == whole.progress


def test_a_rollback_too_many_ends_the_run(make_run):
    run = trapped(make_run, 5, 6, 7, 8, max_rollbacks=2)

    with pytest.raises(DivergenceError, match=r"after 2 rollbacks \(training.max_rollbacks\)"):
        run.train()

    assert max(run.saved) == 4


def test_a_run_that_may_not_go_back_ends_with_the_way_out(make_run):
    run = trapped(make_run, 6, on_divergence="stop")

    with pytest.raises(DivergenceError, match=r"step 7.*on_divergence=rollback"):
        run.train()


def test_a_spike_in_the_loss_is_a_fault_with_a_name_of_its_own(make_run):
    run = trapped(make_run, 6, factor=1e4, on_divergence="stop")

    with pytest.raises(DivergenceError, match=r"step 7: the loss jumped to .*spike_threshold"):
        run.train()


def test_a_weight_that_is_not_finite_is_not_saved_and_the_run_goes_back(make_run):
    run = make_run(SETTINGS)
    moments = run.optimizer.state

    def log_and_poison(metrics, step, log=run._log):
        log(metrics, step)
        if step == 7 and run.progress.rollbacks == 0:
            # It reaches a weight in step 8, whose loss and gradient are finite, and which is saved.
            moments[run.model.final_norm.weight]["exp_avg"].fill_(float("nan"))

    run._log = log_and_poison
    run.train()

    assert ("go back", 4) in run.events
    assert run.progress.rollbacks == 1
    assert run.progress.skipped_steps == 4
    for snapshot in run.saved.values():
        assert all(tensor.isfinite().all() for tensor in snapshot.weights.values())


class Hungry(nn.Module):
    """The objective on a device that has memory for `rows` sequences."""

    def __init__(self, objective, rows):
        super().__init__()
        self.objective = objective
        self.rows = rows

    def forward(self, tokens, targets, documents=None):
        if tokens.shape[0] > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
        return self.objective(tokens, targets, documents=documents)


def test_a_micro_batch_that_is_too_large_is_halved_and_the_run_stays_the_same(make_run):
    settings = {"batch_size": 8, "micro_batch_size": 8, "max_steps": 5}
    small = make_run({**settings, "micro_batch_size": 2}, dropout=0.0)
    small.train()
    run = make_run(settings, dropout=0.0)
    run.replica = Hungry(run.replica, rows=2)

    run.train()

    assert run.events[:2] == [("resize", 4), ("resize", 2)]
    torch.testing.assert_close(run.weights(), small.weights(), rtol=0, atol=0)
    assert run.progress.tokens == 5 * 8 * 8


def test_memory_that_runs_out_within_a_step_leaves_nothing_of_that_step(make_run):
    class OnceShort(nn.Module):
        def __init__(self, objective):
            super().__init__()
            self.objective = objective
            self.calls = 0

        def forward(self, tokens, targets, documents=None):
            self.calls += 1
            if self.calls == 2:  # the first one has left its gradients
                raise torch.OutOfMemoryError
            return self.objective(tokens, targets, documents=documents)

    settings = {"batch_size": 4, "max_steps": 3}
    small = make_run({**settings, "micro_batch_size": 1}, dropout=0.0)
    small.train()
    run = make_run({**settings, "micro_batch_size": 2}, dropout=0.0)
    run.replica = OnceShort(run.replica)

    run.train()

    torch.testing.assert_close(run.weights(), small.weights(), rtol=0, atol=0)


def test_a_device_without_memory_for_one_sequence_ends_the_run_in_words(make_run):
    run = make_run({"batch_size": 6, "micro_batch_size": 6})
    run.replica = Hungry(run.replica, rows=0)

    with pytest.raises(GptkitError, match=r"single sequence.*Tried to allocate 2 GiB"):
        run.train()

    assert run.events == [("resize", 3), ("resize", 1)]


def test_one_of_several_ranks_names_the_setting_instead(make_run):
    run = make_run({"batch_size": 4, "micro_batch_size": 2})
    run.replica = Hungry(run.replica, rows=0)
    run.runtime = replace(run.runtime, world_size=2)
    run.runtime.sum_over_ranks = lambda value: value
    run.runtime.largest = list

    with pytest.raises(GptkitError, match="micro-batches of 2 on rank 0: give a smaller"):
        run.train()
