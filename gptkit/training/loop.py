"""The loop. It knows no file, no tokenizer and no logger: what happens beside steps is passed in.

    one step:  learning rate -> train_step -> save, if due -> evaluate, if due -> one line of
    metrics, if due

Saving comes before evaluating, so a run that dies while it evaluates loses nothing; a run that goes
on from there evaluates that step again and ends with the metrics of one that never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import nn
from torch.optim import Optimizer

from gptkit.errors import DivergenceError
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import Evaluation
from gptkit.training.feed import Feed
from gptkit.training.limits import Limits
from gptkit.training.optimizers import scale_learning_rates
from gptkit.training.pace import Pace
from gptkit.training.progress import Progress
from gptkit.training.recovery import Recovery
from gptkit.training.snapshot import Snapshot, TrainingState
from gptkit.training.spikes import SpikeWatch
from gptkit.training.step import (
    MicroBatchTooLargeError,
    StepGivenUpError,
    StepResult,
    train_step,
)
from gptkit.training.update import Update


class Schedule(Protocol):
    """What the loop asks of a schedule: the learning rate at a step, as a fraction of its peak."""

    def factor(self, step: float, max_steps: float) -> float: ...


@dataclass(frozen=True)
class Beside:
    """What happens beside the steps. All ranks call `evaluate`, rank 0 alone the others."""

    evaluate: Callable[[], Evaluation | None]
    """Score the validation split; None: a signal came."""
    save: Callable[[Snapshot], None]
    """Write a checkpoint of this step; it may still be written when this returns."""
    mark_best: Callable[[Progress], None]
    """Note that the checkpoint of this step is the best so far."""
    log: Callable[[Mapping[str, float], int], None]
    """Take the metrics of a step."""
    go_back: Callable[[Progress, str], None]
    """The run went back to this step, for a reason in words: what came after it is void."""
    resize: Callable[[TrainingConfig, str], None]
    """The run goes on with micro-batches of another size, for a reason in words."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    progress: Progress
    reason: str
    """Why, in words."""
    signal_number: int | None = None
    """The signal that ended it; None: it is complete."""


def train(
    replica: nn.Module,
    feed: Feed,
    *,
    state: TrainingState,
    schedule: Schedule,
    config: TrainingConfig,
    limits: Limits,
    progress: Progress,
    runtime: Runtime,
    spikes: SpikeWatch,
    beside: Beside,
    interrupt: Interrupt,
    pace: Pace,
    good: Snapshot | None = None,
) -> Outcome:
    """Train from `progress` on, keeping it up to date, until a limit is reached or a signal comes.

    replica: what `runtime` made of the model of `state`; good: the state at the last milestone,
    where a resumed run stands behind one.

    Raises: DivergenceError when the run diverges and may not go back (any more).
    """
    optimizer = state.optimizer
    update = Update(optimizer, grad_clip=config.grad_clip, runtime=runtime, spikes=spikes)
    recovery = Recovery(config, state, feed, spikes, progress, runtime, good)
    after = _AfterStep(config, limits, progress, runtime, recovery, beside, interrupt, pace)
    if limits.time_budget is None:
        progress.elapsed_seconds = None
    elif progress.elapsed_seconds is None:
        progress.elapsed_seconds = 0.0
    replica.train()
    recovery.start()
    ended = after.resumed() if progress.step > 0 else None
    while ended is None:
        factor = recovery.learning_rate_factor * schedule.factor(*limits.position(progress))
        scale_learning_rates(optimizer, factor)
        batches = feed.next_step()
        try:
            result = train_step(
                replica,
                batches,
                update,
                step=progress.step,
                seed=config.seed,
                runtime=runtime,
                should_stop=lambda: bool(interrupt),
            )
            seen = sum(batch.tokens.numel() for batch in batches) * runtime.world_size
            progress.step += 1
            progress.tokens += seen
            pace.add(seen)
            ended = after.step(update, result, _learning_rate(optimizer), feed.wait_seconds)
        except StepGivenUpError:
            ended = after.given_up()
        except MicroBatchTooLargeError as error:
            words = recovery.halve_micro_batch(str(error))
            beside.resize(recovery.config, words)
        except DivergenceError as error:
            words = recovery.go_back(error)
            if runtime.is_main:
                beside.go_back(progress, words)
    return ended


def _learning_rate(optimizer: Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


@dataclass
class _AfterStep:
    """What is due after a step, in its order."""

    config: TrainingConfig
    limits: Limits
    progress: Progress
    runtime: Runtime
    recovery: Recovery
    beside: Beside
    interrupt: Interrupt
    pace: Pace

    def __post_init__(self) -> None:
        self._saved_at = self.pace.elapsed_seconds
        self._saved_step = self.progress.step if self.progress.step else None
        # The budget counts from what the checkpoint had used, whatever the clock of the run says.
        self._budget_offset = (self.progress.elapsed_seconds or 0.0) - self._saved_at

    def step(
        self, update: Update, result: StepResult, learning_rate: float, waited: float
    ) -> Outcome | None:
        """Do what is due after a new step; return how the run ended, None when it goes on.

        Raises: DivergenceError when the steps since the last line were not sound.
        """
        signal_number, used_seconds, save_by_clock = self._agree()
        if self.progress.elapsed_seconds is not None:
            self.progress.elapsed_seconds = used_seconds
        due_save = (
            self._evaluation_is_due()
            or self.progress.step % self.config.save_every == 0
            or save_by_clock
            or signal_number is not None
        )
        if due_save or self._line_is_due():
            update.check()
            self.progress.last = self._metrics(result, learning_rate)
        if due_save:
            self._save()
        speed = self.pace.take(waited_seconds=waited) if self._line_is_due() else {}
        return self._evaluate_and_log(speed, signal_number)

    def resumed(self) -> Outcome | None:
        """Do what was left of a step once it was saved; return how the run ended, if it has."""
        signal_number, elapsed, _ = self._agree()
        # This step's speed was another start's.
        return self._evaluate_and_log({"elapsed_seconds": elapsed}, signal_number)

    def given_up(self) -> Outcome:
        """End where a signal came within a step that takes too long to wait for."""
        if self._saved_step != self.progress.step:  # or it was evaluated since
            self._save()
        return Outcome(self.progress, "stopped by a signal", self.interrupt.signal_number)

    def _agree(self) -> tuple[int | None, float, bool]:
        """Return the signal that came, the seconds of the budget used, whether the clock says save.

        What one rank knows holds for all: they must take the same branches.
        """
        elapsed = self.pace.elapsed_seconds
        minutes = self.config.save_minutes
        overdue = minutes is not None and elapsed - self._saved_at >= 60.0 * minutes
        number, used, by_clock = self.runtime.largest(
            [self.interrupt.signal_number or 0, elapsed + self._budget_offset, float(overdue)]
        )
        return int(number) or None, used, by_clock > 0

    def _evaluation_is_due(self) -> bool:
        is_last = self.limits.reached(self.progress) is not None
        return is_last or self.progress.step % self.config.eval_every == 0

    def _line_is_due(self) -> bool:
        return self._evaluation_is_due() or self.progress.step % self.config.log_every == 0

    def _metrics(self, result: StepResult, learning_rate: float) -> dict[str, float]:
        metrics = {
            "train_loss": float(result.loss),
            "grad_norm": float(result.grad_norm),
            "learning_rate": learning_rate,
            "tokens": self.progress.tokens,
        }
        if self.progress.rollbacks:
            metrics["rollbacks"] = self.progress.rollbacks
        # A float16 gradient that overflowed was left out; its norm is no number.
        return {key: value for key, value in metrics.items() if math.isfinite(value)}

    def _save(self) -> None:
        with self.pace.paused():
            snapshot = self.recovery.snapshot()
            if self.runtime.is_main:
                assert snapshot is not None
                self.beside.save(snapshot)
        self._saved_at = self.pace.elapsed_seconds
        self._saved_step = self.progress.step

    def _evaluate_and_log(
        self, speed: Mapping[str, float], signal_number: int | None
    ) -> Outcome | None:
        line_is_due = self._line_is_due()
        evaluated: dict[str, float] = {}
        if self._evaluation_is_due() and signal_number is None:
            with self.pace.paused():
                evaluation = self.beside.evaluate()
            if evaluation is None:
                signal_number, _, _ = self._agree()
            else:
                evaluated = self._note(evaluation)
        if line_is_due and self.runtime.is_main:
            self.beside.log({**self.progress.last, **speed, **evaluated}, self.progress.step)
        if signal_number is not None:
            return Outcome(self.progress, "stopped by a signal", signal_number)
        reason = self.limits.reached(self.progress)
        return Outcome(self.progress, reason) if reason is not None else None

    def _note(self, evaluation: Evaluation) -> dict[str, float]:
        if self.progress.note_evaluation(evaluation.loss) and self.runtime.is_main:
            self.beside.mark_best(self.progress)
        metrics = {"val_loss": evaluation.loss, "val_accuracy": evaluation.accuracy}
        if evaluation.bits_per_byte is not None:
            metrics["val_bits_per_byte"] = evaluation.bits_per_byte
        if evaluation.reward_margin is not None:
            metrics["val_reward_margin"] = evaluation.reward_margin
        return metrics
