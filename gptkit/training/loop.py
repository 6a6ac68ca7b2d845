"""The loop. It knows no file, no tokenizer and no logger: what happens beside steps is passed in.

    one step:  learning rate -> train_step -> save, if due -> evaluate, if due -> one line of
    metrics, if due

Saving comes before evaluating, so a run that dies while it evaluates loses nothing; a run that goes
on from there evaluates that step again and ends with the metrics of one that never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import nn
from torch.optim import Optimizer

from gptkit.data.batches import Batch
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import Evaluation
from gptkit.training.limits import Limits
from gptkit.training.optimizers import scale_learning_rates
from gptkit.training.pace import Pace
from gptkit.training.progress import Progress
from gptkit.training.step import StepResult, train_step
from gptkit.training.update import Update


class Schedule(Protocol):
    """What the loop asks of a schedule: the learning rate at a step, as a fraction of its peak."""

    def factor(self, step: float, max_steps: float) -> float: ...


class Feed(Protocol):
    """The micro-batches of this rank, from the first step to do on."""

    wait_seconds: float
    """What the loop has waited for it so far."""

    def __next__(self) -> Batch: ...
    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Beside:
    """What happens beside the steps. All ranks call `evaluate`, rank 0 alone the others."""

    evaluate: Callable[[], Evaluation | None]
    """Score the validation split; None: a signal came."""
    save: Callable[[Progress], None]
    """Write a checkpoint of this step."""
    mark_best: Callable[[Progress], None]
    """Note that the checkpoint of this step is the best so far."""
    log: Callable[[Mapping[str, float], int], None]
    """Take the metrics of a step."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    progress: Progress
    reason: str
    """Why, in words."""
    signal_number: int | None = None
    """The signal that ended it; None: it is complete."""


def train(
    model: nn.Module,
    batches: Feed,
    *,
    optimizer: Optimizer,
    schedule: Schedule,
    config: TrainingConfig,
    limits: Limits,
    progress: Progress,
    runtime: Runtime,
    beside: Beside,
    interrupt: Interrupt,
    pace: Pace,
) -> Outcome:
    """Train from `progress` on, keeping it up to date, until a limit is reached or a signal comes.

    model: the replica that `runtime` made; batches: micro-batches from step `progress.step` on.

    Raises: DivergenceError when loss or gradient are no longer finite.
    """
    update = Update(optimizer, grad_clip=config.grad_clip, runtime=runtime)
    accumulation = config.accumulation(runtime.world_size)
    after = _AfterStep(config, limits, progress, runtime, beside, interrupt, pace)
    if limits.time_budget is not None and progress.elapsed_seconds is None:
        progress.elapsed_seconds = 0.0
    model.train()
    ended = after.resumed() if progress.step > 0 else None
    while ended is None:
        factor = schedule.factor(*limits.position(progress))
        scale_learning_rates(optimizer, factor)
        micro_batches = [next(batches) for _ in range(accumulation)]
        result = train_step(
            model, micro_batches, update, step=progress.step, seed=config.seed, runtime=runtime
        )
        seen = sum(batch.tokens.numel() for batch in micro_batches) * runtime.world_size
        progress.step += 1
        progress.tokens += seen
        pace.add(seen)
        ended = after.step(update, result, _learning_rate(optimizer), batches.wait_seconds)
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
    beside: Beside
    interrupt: Interrupt
    pace: Pace

    def __post_init__(self) -> None:
        self._saved_at = self.pace.elapsed_seconds
        # The budget counts from what the checkpoint had used, whatever the clock of the run says.
        self._budget_offset = (self.progress.elapsed_seconds or 0.0) - self._saved_at

    def step(
        self, update: Update, result: StepResult, learning_rate: float, waited: float
    ) -> Outcome | None:
        """Do what is due after a new step; return how the run ended, None when it goes on."""
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
            self.progress.last = {
                "train_loss": float(result.loss),
                "grad_norm": float(result.grad_norm),
                "learning_rate": learning_rate,
                "tokens": self.progress.tokens,
            }
        if due_save:
            self._save()
        speed = self.pace.take(waited_seconds=waited) if self._line_is_due() else {}
        return self._evaluate_and_log(speed, signal_number)

    def resumed(self) -> Outcome | None:
        """Do what was left of a step once it was saved; return how the run ended, if it has."""
        signal_number, elapsed, _ = self._agree()
        # This step's speed was another start's.
        return self._evaluate_and_log({"elapsed_seconds": elapsed}, signal_number)

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

    def _save(self) -> None:
        if self.runtime.is_main:
            with self.pace.paused():
                self.beside.save(self.progress)
        self._saved_at = self.pace.elapsed_seconds

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
        return metrics
