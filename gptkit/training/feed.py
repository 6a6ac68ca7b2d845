"""The micro-batches of this rank, from any step on: a run may go back, or cut its batch smaller."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Self

from gptkit.data.batches import Batch, TrainingBatches
from gptkit.data.feeder import Feeder
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig


class Feed:
    """Gives the micro-batches of one step after another; a thread makes them ahead."""

    def __init__(self, windows: TrainingBatches, runtime: Runtime) -> None:
        self._windows = windows
        self._runtime = runtime
        self._accumulation = 0
        self._feeder: Feeder | None = None
        self._waited_before = 0.0

    @property
    def wait_seconds(self) -> float:
        """What the loop has waited for batches so far."""
        waited = self._feeder.wait_seconds if self._feeder is not None else 0.0
        return self._waited_before + waited

    def go_to(self, step: int, config: TrainingConfig) -> None:
        """Go on with the batch of `step`, cut as `config` says."""
        self.close()
        self._accumulation = config.accumulation(self._runtime.world_size)
        size = config.batch_size // self._runtime.world_size // self._accumulation
        indices = micro_batch_indices(step, accumulation=self._accumulation, runtime=self._runtime)
        self._feeder = Feeder(self._windows.of_size(size), indices, self._runtime.device)

    def next_step(self) -> list[Batch]:
        """Return the micro-batches of the next step."""
        assert self._feeder is not None, "go_to comes first"
        return [next(self._feeder) for _ in range(self._accumulation)]

    def close(self) -> None:
        """End the thread."""
        if self._feeder is not None:
            self._waited_before += self._feeder.wait_seconds
            self._feeder.close()
            self._feeder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def micro_batch_indices(first_step: int, *, accumulation: int, runtime: Runtime) -> Iterator[int]:
    """Yield the micro-batches of this rank from `first_step` on, for ever.

    accumulation: micro-batches of a step on one rank. A step's micro-batches are consecutive over
    the ranks, so one rank with 4 sees what 2 ranks with 2 see.
    """
    for step in itertools.count(first_step):
        for i in range(accumulation):
            yield micro_batch_index(step, i, accumulation, runtime)


def micro_batch_index(step: int, i: int, accumulation: int, runtime: Runtime) -> int:
    """Return the index of micro-batch `i` of this rank's `accumulation` in a step."""
    return (step * accumulation + i) * runtime.world_size + runtime.rank
