"""The pace of a run, from a few real steps of its own parts; what they learn is thrown away."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from gptkit.config import RunConfig
from gptkit.data.batches import Batch
from gptkit.data.dataset import Dataset
from gptkit.recipes.train.batches import score
from gptkit.recipes.train.parts import Parts
from gptkit.recipes.writing import training_sample
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.runtime.timing import wait_for
from gptkit.training.evaluate import Windows
from gptkit.training.feed import Feed
from gptkit.training.objective_config import OBJECTIVES
from gptkit.training.step import train_step
from gptkit.training.update import Update

_SECONDS = 6.0
_WARM_UP = 3
_MOST_STEPS = 60
_EVALUATION_BATCHES = 3
_SAMPLE_TOKENS = 32


@dataclass(frozen=True)
class Trial:
    """Seconds of this machine."""

    step: float
    """Median."""
    steps: int
    """How many were timed."""
    evaluation: float
    """The whole validation split."""
    sample: float
    save: float
    """The copy that a checkpoint is written from; writing it goes on beside the steps."""


def run_trial(config: RunConfig, dataset: Dataset, parts: Parts, runtime: Runtime) -> Trial:
    """Time steps, copy, evaluation and sample of a run; its weights and optimizer change."""
    times, save = _time_steps(config, parts, runtime)
    warm = times[min(_WARM_UP, len(times) - 1) :]
    return Trial(
        step=statistics.median(warm),
        steps=len(warm),
        evaluation=_time_evaluation(config, parts, runtime),
        sample=_time_sample(config, dataset, parts, runtime),
        save=save,
    )


def _time_steps(config: RunConfig, parts: Parts, runtime: Runtime) -> tuple[list[float], float]:
    """Return the seconds of one step after another, and those of the copy for a checkpoint."""
    first = parts.batches.training.batch(0)
    objective = OBJECTIVES.build(config.objective, parts.model)
    replica = runtime.replicate(
        objective, first.tokens, inputs=first.inputs(), warn=lambda text: None
    )
    replica.train()
    update = Update(parts.state.optimizer, grad_clip=config.training.grad_clip, runtime=runtime)
    times: list[float] = []
    with Feed(parts.batches.training, runtime) as feed:

        def step() -> None:
            start = time.perf_counter()
            train_step(
                replica,
                feed.next_step(),
                update,
                step=len(times),
                seed=config.training.seed,
                runtime=runtime,
            )
            wait_for(runtime.device)
            times.append(time.perf_counter() - start)

        feed.go_to(0, config.training)
        begin = time.perf_counter()
        while len(times) < _WARM_UP + _MOST_STEPS:
            step()
            if time.perf_counter() - begin > _SECONDS and len(times) > 1:
                break
        start = time.perf_counter()
        kept = parts.state.snapshot(parts.progress)
        save = time.perf_counter() - start
        if _goes_on_after_saving(config, parts):
            step()  # beside the copy: so much memory do steps take while a checkpoint is written
        del kept
    return times, save


def _goes_on_after_saving(config: RunConfig, parts: Parts) -> bool:
    training, steps = config.training, parts.limits.max_steps
    return steps is None or min(training.save_every, training.eval_every) < steps


class _First:
    """The first few batches of an evaluation."""

    def __init__(self, windows: Windows, most: int) -> None:
        self._windows = windows
        self._most = most

    def __len__(self) -> int:
        return min(len(self._windows), self._most)

    def batch(self, index: int) -> Batch:
        return self._windows.batch(index)


def _time_evaluation(config: RunConfig, parts: Parts, runtime: Runtime) -> float:
    if parts.batches.validation is None:
        return 0.0
    windows = parts.batches.validation
    score(
        config.objective, parts.model, _First(windows, 1), runtime
    )  # meets its shapes for the first time
    few = _First(windows, _EVALUATION_BATCHES)
    start = time.perf_counter()
    score(config.objective, parts.model, few, runtime)
    seconds = time.perf_counter() - start
    return seconds * len(windows) / len(few)


def _time_sample(config: RunConfig, dataset: Dataset, parts: Parts, runtime: Runtime) -> float:
    wanted = config.training.sample_tokens
    few = min(wanted, _SAMPLE_TOKENS)
    if not few:
        return 0.0
    seconds = 0.0
    for tokens in (1, few):  # the first makes the decoder
        training = config.training.model_copy(update={"sample_tokens": tokens})
        start = time.perf_counter()
        with runtime.autocast():
            training_sample(parts.model, dataset.tokenizer, training, Interrupt())
        seconds = time.perf_counter() - start
    return seconds * wanted / few
