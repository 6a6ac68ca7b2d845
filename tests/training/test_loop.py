import signal

import pytest
import torch
from torch import nn

from gptkit.errors import DivergenceError

SPEED = {"elapsed_seconds", "tokens_per_second", "data_wait", "mfu"}


def without_speed(lines):
    return {
        step: {key: value for key, value in line.items() if key not in SPEED}
        for step, line in lines.items()
    }


@pytest.mark.parametrize("stops", [[5], [3, 4, 8]])
def test_a_stopped_and_resumed_run_ends_bitwise_like_one_that_never_stopped(make_run, stops):
    whole = make_run({"save_every": 1})
    whole.train()

    lines, checkpoint = {}, None
    for stop in [*stops, 10]:
        part = make_run({"save_every": 1})
        if checkpoint is not None:
            part.resume(checkpoint)

        def interrupt_at(progress, part=part, stop=stop):
            if progress.step == stop < 10:
                part.interrupt.signal_number = signal.SIGTERM

        part.on_save = interrupt_at
        part.train()
        lines |= part.lines
        # The run ended one step later: it is resumed from the older of its checkpoints.
        checkpoint = part.saved[stop]

    torch.testing.assert_close(part.weights(), whole.weights(), rtol=0, atol=0)
    assert part.saved[10].progress == whole.saved[10].progress
    torch.testing.assert_close(
        part.saved[10].optimizer_tensors, whole.saved[10].optimizer_tensors, rtol=0, atol=0
    )
    assert without_speed(lines) == without_speed(whole.lines)


def test_a_step_is_saved_before_it_is_evaluated_and_logged_once(make_run):
    run = make_run({"max_steps": 4, "eval_every": 2, "log_every": 10})

    run.train()

    assert run.events == [
        *[("save", 2), ("evaluate", 2), ("best", 2), ("log", 2)],
        *[("save", 4), ("evaluate", 4), ("best", 4), ("log", 4)],
    ]


def test_the_last_step_is_saved_and_evaluated_whatever_is_due(make_run):
    run = make_run({"max_steps": 3, "eval_every": 100, "save_every": 100, "log_every": 100})

    outcome = run.train()

    assert run.events == [("save", 3), ("evaluate", 3), ("best", 3), ("log", 3)]
    assert outcome.reason == "max_steps (3) reached"
    assert outcome.signal_number is None


def test_a_line_holds_what_the_step_found(make_run):
    run = make_run({"max_steps": 5})

    run.train()

    assert set(run.lines) == {1, 2, 3, 4, 5}
    assert {"train_loss", "grad_norm", "learning_rate", "tokens"} <= set(run.lines[1])
    assert {"val_loss", "val_accuracy"} <= set(run.lines[5])
    assert "val_loss" not in run.lines[4]
    assert run.lines[5]["tokens"] == 5 * 4 * 8


def test_a_finished_run_that_is_resumed_evaluates_and_ends(make_run):
    first = make_run()
    first.train()
    again = make_run()
    again.resume(first.saved[10])

    outcome = again.train()

    assert again.events == [("evaluate", 10), ("best", 10), ("log", 10)]
    assert outcome.reason == "max_steps (10) reached"
    assert without_speed(again.lines)[10] == without_speed(first.lines)[10]


def test_patience_ends_a_run_after_the_evaluation_that_exhausts_it(make_run):
    settings = {"max_steps": 100, "eval_every": 2, "patience": 2}
    run = make_run(settings, val_losses=[3.0, 2.0, 2.5, 2.0])

    outcome = run.train()

    assert outcome.progress.step == 8
    assert outcome.progress.best_step == 4
    assert "patience" in outcome.reason


def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint_and_no_evaluation(make_run):
    run = make_run({"eval_every": 1})
    run.interrupt.signal_number = signal.SIGINT

    outcome = run.train()

    assert outcome.signal_number == signal.SIGINT
    assert run.events == [("save", 1), ("log", 1)]


@pytest.mark.parametrize("step", [1, 4, 5])
def test_a_step_that_takes_long_is_given_up_for_a_signal_and_done_again(
    make_run, monkeypatch, step
):
    whole = make_run()
    whole.train()
    monkeypatch.setattr("gptkit.training.step._LONG_STEP_SECONDS", -1.0)
    part = make_run()

    class Signalled(nn.Module):
        calls = 0

        def forward(self, *batch, documents):
            self.calls += 1
            if self.calls == 2 * step + 1:  # the first of two micro-batches of the step after
                part.interrupt.signal_number = signal.SIGTERM
            return objective(*batch, documents=documents)

    objective, part.replica = part.replica, Signalled()
    outcome = part.train()
    again = make_run()
    again.resume(part.saved[step])
    again.train()

    assert (outcome.progress.step, outcome.signal_number) == (step, signal.SIGTERM)
    assert part.events.count(("save", step)) == 1
    torch.testing.assert_close(again.weights(), whole.weights(), rtol=0, atol=0)
    assert again.progress == whole.progress
    assert without_speed(part.lines | again.lines) == without_speed(whole.lines)


def test_a_signal_during_the_evaluation_ends_the_run(make_run):
    run = make_run({"eval_every": 1})

    def interrupted():
        run.interrupt.signal_number = signal.SIGTERM

    run.evaluate = interrupted

    outcome = run.train()

    assert outcome.signal_number == signal.SIGTERM
    assert outcome.progress.step == 1
    assert "val_loss" not in run.lines[1]


def test_a_time_budget_ends_the_run_with_the_learning_rate_at_its_end(make_run):
    run = make_run({"max_steps": None, "time_budget": 0.5, "eval_every": 10_000})

    outcome = run.train()

    step = outcome.progress.step
    assert outcome.reason == "time_budget (0.5 s) used up"
    assert step > 3 and run.events[-4:] == [(e, step) for e in ("save", "evaluate", "best", "log")]
    assert run.lines[step]["learning_rate"] < 0.2 * 1e-3
    assert outcome.progress.elapsed_seconds >= 0.5


def test_time_used_before_a_resume_counts(make_run):
    run = make_run({"max_steps": None, "time_budget": 1000})
    run.progress.step, run.progress.elapsed_seconds = 1, 999.99

    outcome = run.train()

    assert outcome.progress.elapsed_seconds >= 1000


def test_a_run_without_time_budget_keeps_no_time(make_run):
    run = make_run()

    run.train()

    assert run.progress.elapsed_seconds is None


def test_minutes_without_a_checkpoint_make_one_due(make_run):
    run = make_run({"max_steps": 3, "save_every": 100, "eval_every": 100, "save_minutes": 1e-9})

    run.train()

    assert list(run.saved) == [1, 2, 3]


def test_a_run_that_diverges_saves_nothing_of_it(make_run):
    run = make_run({"save_every": 1})

    def poison(progress):
        with torch.no_grad():
            run.model.final_norm.weight.mul_(float("nan"))

    run.on_save = poison

    with pytest.raises(DivergenceError, match="step 2: training diverged: loss nan"):
        run.train()

    assert list(run.saved) == [1]


def test_any_schedule_and_optimizer_run_in_the_loop(make_run):
    run = make_run(
        optimizer_settings={"name": "SGD", "learning_rate": 0.5, "momentum": 0.9},
        schedule_settings={"name": "one_cycle"},
    )

    run.train()

    rates = [run.lines[step]["learning_rate"] for step in range(1, 11)]
    assert max(rates) == pytest.approx(0.5) and rates[-1] < 0.01
