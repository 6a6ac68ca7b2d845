"""When a run ends, why, and how far along it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gptkit.training.config import TrainingConfig
from gptkit.training.progress import Progress

# Under a time budget: steps that the run is taken to have until the first one has been timed.
_GUESSED_STEPS = 1000.0


@dataclass(frozen=True)
class Limits:
    """The ends of a run; the first one reached counts."""

    max_steps: int | None
    """The smallest limit on steps, tokens and epochs, in steps; None: only time ends the run."""
    steps_in_words: str = ""
    time_budget: float | None = None
    """Seconds."""
    patience: int | None = None

    @classmethod
    def of(cls, config: TrainingConfig, *, context_length: int, num_windows: int) -> Limits:
        """Return the limits that the settings mean.

        num_windows: sequences of the training split in an epoch. Tokens and epochs are rounded up
        to whole steps.
        """
        tokens_per_step = config.batch_size * context_length
        ends: list[tuple[int, str]] = []
        if config.max_steps is not None:
            ends.append((config.max_steps, f"max_steps ({config.max_steps:,}) reached"))
        if config.max_tokens is not None:
            steps = math.ceil(config.max_tokens / tokens_per_step)
            ends.append((steps, f"max_tokens ({config.max_tokens:,}) learned from"))
        if config.max_epochs is not None:
            steps = math.ceil(config.max_epochs * num_windows / config.batch_size)
            ends.append((steps, f"max_epochs ({config.max_epochs:g}) done"))
        max_steps, words = min(ends, default=(None, ""))
        return cls(max_steps, words, config.time_budget, config.patience)

    def seconds_left(self, progress: Progress) -> float | None:
        """Return what is left of the time budget; None: there is none."""
        if self.time_budget is None:
            return None
        return self.time_budget - (progress.elapsed_seconds or 0.0)

    def reached(self, progress: Progress) -> str | None:
        """Return why the run is over, in words; None: it is not."""
        if self.max_steps is not None and progress.step >= self.max_steps:
            return self.steps_in_words
        left = self.seconds_left(progress)
        if left is not None and left <= 0:
            return f"time_budget ({self.time_budget:g} s) used up"
        if self.patience is not None and progress.evaluations_without_gain >= self.patience:
            return f"no better validation loss in {self.patience} evaluations (patience)"
        return None

    def position(self, progress: Progress) -> tuple[float, float]:
        """Return (step, max_steps) for the schedule, before the step that follows `progress`.

        Under a time budget max_steps is what the run will come to at its speed so far, so step /
        max_steps is the share of the time used, and a warmup given in steps keeps its meaning.
        """
        if self.time_budget is None:
            assert self.max_steps is not None, "a run without time budget has a last step"
            return progress.step, self.max_steps
        share = (progress.elapsed_seconds or 0.0) / self.time_budget
        if progress.step == 0 or share == 0.0:
            coming = _GUESSED_STEPS
        else:
            coming = progress.step / min(1.0, share)
        return progress.step, min(coming, self.max_steps or math.inf)
