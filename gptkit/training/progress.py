"""`Progress`: what a resumed run must know beside weights and optimizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from gptkit.errors import CheckpointError

_MOST = 1 << 53


@dataclass
class Progress:
    """How far a run is. It holds no time, but under a time budget: equal runs have equal files."""

    step: int = 0
    """Steps done."""
    tokens: int = 0
    """Tokens seen, over all ranks."""
    best_val_loss: float | None = None
    """Lowest validation loss so far, nats per token; None: never evaluated."""
    best_step: int | None = None
    """The step that had it."""
    evaluations_without_gain: int = 0
    """Evaluations since then."""
    last: dict[str, float] = field(default_factory=dict)
    """Metrics of the last step but its speed: a resumed run writes that step's line again."""
    losses: list[float] = field(default_factory=list)
    """Losses of the last steps, oldest first: what a spike is measured against."""
    rollbacks: int = 0
    """How often the run went back to an earlier state."""
    skipped_steps: int = 0
    """Steps whose windows were left out for that: the data is so much ahead of `step`."""
    elapsed_seconds: float | None = None
    """Time used of the budget; None: there is no budget."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> Progress:
        """Return what `to_json` gave; `values` may come from anyone.

        Raises: CheckpointError when they are something else.
        """
        try:
            if not isinstance(values, dict):
                raise TypeError("no mapping")
            progress = cls(
                **{**values, "last": dict(values["last"]), "losses": list(values.get("losses", ()))}
            )
            progress._check()
            return progress
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"progress: not readable: {error}") from None

    def _check(self) -> None:
        """Raise ValueError where a value cannot be what `to_json` gave."""
        counts = {
            "step": self.step,
            "tokens": self.tokens,
            "best_step": self.best_step or 0,
            "evaluations_without_gain": self.evaluations_without_gain,
            "rollbacks": self.rollbacks,
            "skipped_steps": self.skipped_steps,
        }
        numbers = [self.best_val_loss, self.elapsed_seconds, *self.losses, *self.last.values()]
        for key, count in counts.items():
            if type(count) is not int or not 0 <= count < _MOST:
                raise ValueError(f"{key} is {str(count)[:40]!r}")
        for number in numbers:
            if number is not None and (type(number) not in (int, float) or not abs(number) < _MOST):
                raise ValueError(f"{str(number)[:40]!r} is no number of a run")
        if (self.best_step or 0) > self.step:
            raise ValueError(f"best_step is {self.best_step}, after step {self.step}")

    def note_evaluation(self, val_loss: float) -> bool:
        """Take in the validation loss of this step; return whether it is the best so far."""
        if self.best_val_loss is None or val_loss < self.best_val_loss:
            self.best_val_loss, self.best_step = val_loss, self.step
            self.evaluations_without_gain = 0
            return True
        self.evaluations_without_gain += 1
        return False
