"""What a run does where a step cannot be used: go back to a good state, or cut its batch smaller.

    steps      ... 100  101 ... 130  131!        131: the loss is not finite, or a spike
    milestone      100                           the last state that was kept
    goes on        100 -> step 101 learns from the windows that 132 would have had, at half the rate

Where it goes back to depends on steps alone, never on when somebody looked, saved or interrupted:
a run that was resumed goes back to where an uninterrupted one does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from gptkit.errors import DivergenceError, GptkitError
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.feed import Feed
from gptkit.training.progress import Progress
from gptkit.training.snapshot import Snapshot, TrainingState
from gptkit.training.spikes import SpikeWatch
from gptkit.training.update import FaultyStepError

_LEARNING_RATE_AFTER = 0.5
_ADVICE = (
    "a lower optimizer.learning_rate, a longer warmup or a smaller training.grad_clip may help;"
    " training.on_divergence=rollback goes back and on"
)


@dataclass
class Recovery:
    """Keeps the last good state, and puts the run back on its feet."""

    config: TrainingConfig
    """With the size of micro-batch that fits."""
    state: TrainingState
    feed: Feed
    spikes: SpikeWatch
    progress: Progress
    runtime: Runtime
    good: Snapshot | None = None
    """The state at the last milestone; None: the run does not roll back."""
    _keeps: bool = field(init=False)

    def __post_init__(self) -> None:
        self._keeps = self.config.on_divergence == "rollback"
        self.spikes.start_from(self.progress.losses)
        if self._keeps and self.good is None:
            self.good = self.state.snapshot(self.progress)

    @property
    def learning_rate_factor(self) -> float:
        """What is left of the learning rate after the rollbacks so far."""
        return _LEARNING_RATE_AFTER**self.progress.rollbacks

    def start(self) -> None:
        """Let the feed give the batch of the next step."""
        self.feed.go_to(self.progress.step + self.progress.skipped_steps, self.config)

    def snapshot(self) -> Snapshot | None:
        """Return the state at this step, for saving; keep it, where this step is a milestone.

        None on the ranks that have no use for it.

        Raises: DivergenceError when it is not finite: on all ranks, if they may go back.
        """
        self.progress.losses = self.spikes.losses()
        if not (self._keeps or self.runtime.is_main):
            return None
        taken = self.state.snapshot(self.progress)
        if self._keeps and self.config.last_milestone(self.progress.step) == self.progress.step:
            self.good = taken
        return taken

    def go_back(self, error: DivergenceError) -> str:
        """Return to the last good state, beyond the windows since then; say so in words.

        Raises: `error` with advice where the run may not, or no more.
        """
        progress, good = self.progress, self.good
        if good is None:
            raise DivergenceError(f"{error}; {_ADVICE}") from error
        if progress.rollbacks >= self.config.max_rollbacks:
            raise DivergenceError(
                f"{error}, after {progress.rollbacks} rollbacks (training.max_rollbacks)"
            ) from error
        faulty = error.step if isinstance(error, FaultyStepError) else progress.step
        self.state.restore(good)
        progress.rollbacks += 1
        progress.skipped_steps += faulty - good.progress.step
        progress.step, progress.tokens = good.progress.step, good.progress.tokens
        self.spikes.start_from(good.progress.losses)
        self.start()
        return (
            f"{error}; back to step {progress.step}, past the windows since then, at"
            f" {self.learning_rate_factor:g} of the learning rate"
            f" (rollback {progress.rollbacks} of {self.config.max_rollbacks})"
        )

    def halve_micro_batch(self, problem: str) -> str:
        """Cut the batch into micro-batches of half the size; say so in words.

        Raises: GptkitError where that is not possible.
        """
        size = self.config.resolved(self.runtime.world_size).micro_batch_size
        assert size is not None
        if self.runtime.world_size > 1:
            # The other ranks wait inside this step.
            raise GptkitError(
                f"out of memory with micro-batches of {size} on rank {self.runtime.rank}: give a"
                f" smaller training.micro_batch_size ({problem})"
            )
        if size == 1:
            raise GptkitError(
                "out of memory with a single sequence: give a smaller model or context, or"
                f" model.activation_checkpointing=true ({problem})"
            )
        smaller = max(d for d in range(1, size // 2 + 1) if self.config.batch_size % d == 0)
        self.config = self.config.model_copy(update={"micro_batch_size": smaller})
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        self.start()
        return (
            f"out of memory with micro-batches of {size}: going on with {smaller},"
            f" {self.config.accumulation(1)} a step"
        )
