"""Settings of training: how long, how much at once, which optimizer, which schedule."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator
from pydantic_core import PydanticCustomError

from gptkit.errors import ConfigError
from gptkit.section import Flag, NonNegativeInt, PositiveFloat, PositiveInt, Section

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d+(?:\.\d+)?"
# Each unit at most once, the largest first: 1h30m, 90s, 1.5h.
_DURATION = re.compile(r"\s*".join(rf"(?:({_NUMBER})\s*{unit})?" for unit in _UNITS))


def _seconds(value: object) -> object:
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None and any(match.groups()):
        sizes = zip(match.groups("0"), _UNITS.values(), strict=True)
        return sum(float(count) * seconds for count, seconds in sizes)
    if isinstance(value, str | bool):
        raise PydanticCustomError(
            "duration", "must be a duration such as 90s, 10m, 1h30m or a number of seconds"
        )
    return value


Duration = Annotated[PositiveFloat, BeforeValidator(_seconds)]
"""Seconds, or numbers with d, h, m, s: 10m, 1h30m."""


class TrainingConfig(Section):
    """The loop: when it ends, what a step is made of, what happens beside the steps."""

    max_steps: PositiveInt | None = 5000
    """Optimizer steps; null: another limit ends the run. The first limit reached counts."""
    max_tokens: PositiveInt | None = None
    """Tokens to learn from."""
    max_epochs: PositiveFloat | None = None
    """Passes over the training split."""
    time_budget: Duration | None = None
    """Time from the first step on: seconds, 90s, 10m, 1h30m. The schedule then follows the clock, and
    what of size, batch and optimizer is not given is chosen for it (docs/dial.md)."""
    batch_size: PositiveInt = 64
    """Sequences per optimizer step, over all ranks."""
    micro_batch_size: PositiveInt | None = None
    """Sequences per forward pass on one device; null: batch_size / devices. Decides memory only."""
    grad_clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient; null: not clipped."""
    seed: NonNegativeInt = 1337
    """The only seed of a run: initial weights, data order, dropout and samples derive from it."""
    log_every: PositiveInt = 10
    """Steps between lines of metrics; each evaluation has one too."""
    eval_every: PositiveInt = 250
    """Steps between evaluations on the validation split (and samples)."""
    save_every: PositiveInt = 250
    """Steps between checkpoints; each evaluated step has one too, for the best one is kept."""
    save_minutes: PositiveFloat | None = 10.0
    """Minutes after which a checkpoint is due in any case; null: never by time."""
    keep_checkpoints: PositiveInt = 2
    """Newest checkpoints kept, beside the best one."""
    patience: PositiveInt | None = None
    """Evaluations without a better validation loss before the run ends; null: never."""
    on_divergence: Literal["stop", "rollback"] = "stop"
    """When a loss or gradient is not finite, or the loss spikes: end the run, or go back to the last
    milestone in memory, skip those windows and halve the learning rate."""
    max_rollbacks: NonNegativeInt = 3
    """Rollbacks of a run before it ends after all."""
    spike_threshold: PositiveFloat | None = 20.0
    """Robust standard deviations above the last losses that make a spike; null: nothing is one."""
    preflight: Flag = True
    """Before a new run, ask a small copy of the model what would make training worthless: a leak from
    the future, a wrong target, a cache that differs."""
    sample_prompt: str | None = None
    """Prompt of the sample at each evaluation; null: end-of-text, or a newline."""
    sample_tokens: NonNegativeInt = 200
    """Tokens of that sample; 0: no samples."""

    @model_validator(mode="before")
    @classmethod
    def _another_limit_replaces_the_default_steps(cls, value: Any) -> Any:
        others = ("max_tokens", "max_epochs", "time_budget")
        if not isinstance(value, dict) or "max_steps" in value:
            return value
        has_other = any(value.get(key) is not None for key in others)
        return {**value, "max_steps": None} if has_other else value

    @model_validator(mode="after")
    def _fits_together(self) -> TrainingConfig:
        if self.max_steps is self.max_tokens is self.max_epochs is self.time_budget is None:
            raise ValueError(
                "the run needs an end: max_steps, max_tokens, max_epochs or time_budget"
            )
        if self.micro_batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple"
                f" of micro_batch_size ({self.micro_batch_size})"
            )
        return self

    def last_milestone(self, step: int) -> int:
        """Return the last step up to `step` at which saving or evaluating was due; 0 at first."""
        return max(step - step % self.save_every, step - step % self.eval_every)

    def accumulation(self, world_size: int) -> int:
        """Return the micro-batches of a step on each of `world_size` ranks.

        Raises: ConfigError when the batch does not divide.
        """
        per_rank, rest = divmod(self.batch_size, world_size)
        size = self.micro_batch_size or per_rank
        if rest or not per_rank or per_rank % size:
            each = self.micro_batch_size or 1
            raise ConfigError(
                f"training.batch_size ({self.batch_size}) must be a multiple"
                f" of micro_batch_size x devices ({each} x {world_size} = {each * world_size})"
            )
        return per_rank // size

    def resolved(self, world_size: int) -> TrainingConfig:
        """Return the settings with the size of the micro-batch filled in.

        Raises: ConfigError when the batch does not divide.
        """
        size = self.batch_size // world_size // self.accumulation(world_size)
        return self.model_copy(update={"micro_batch_size": size})
