"""What happens beside the steps of a run: checkpoints, evaluations with a sample, lines of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch.optim import Optimizer

from gptkit.checkpoint import Retention, SaveError, point, step_name
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import Contents, OptimizerState, save
from gptkit.data.batches import EvaluationWindows
from gptkit.data.dataset import Dataset
from gptkit.model import GPT
from gptkit.recipes.journal import Journal
from gptkit.recipes.writing import excerpt, training_sample
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import Evaluation, evaluate
from gptkit.training.optimizer_state import optimizer_state
from gptkit.training.progress import Progress

_FAILURES_IN_A_ROW = 3


@dataclass
class Saver:
    """Writes a run's checkpoints. One that fails is a warning; the third in a row, or the last, ends the run."""

    run_dir: Path
    model: GPT
    optimizer: Optimizer
    runtime: Runtime
    contents: Contents
    """What stays the same from checkpoint to checkpoint; its weights and state are filled in."""
    keep: int
    is_last: Callable[[Progress], bool]
    journal: Journal

    def __post_init__(self) -> None:
        self._retention = Retention(self.run_dir, self.keep)
        self._failures = 0

    def save(self, progress: Progress) -> None:
        """Write the checkpoint of this step, and remove those that are no longer needed.

        Raises: SaveError, DivergenceError.
        """
        tensors, scalars = optimizer_state(self.optimizer, self.model, self.runtime.scaler)
        contents = replace(
            self.contents,
            weights=self.model.state_dict(),
            state={**self.contents.state, "progress": progress.to_json()},
            optimizer=OptimizerState(tensors, scalars),
        )
        try:
            folder = save(self.run_dir, progress.step, contents)
            point(self.run_dir, "last", folder)
        except (SaveError, OSError) as error:
            self._failed(progress, error)
            return
        self._failures = 0
        for problem in self._retention.apply():
            self.journal.say(problem)

    def mark_best(self, progress: Progress) -> None:
        """Let `best` name the checkpoint of this step."""
        folder = checkpoints_folder(self.run_dir) / step_name(progress.step)
        if not folder.is_dir():
            return  # it could not be saved, which was said
        try:
            point(self.run_dir, "best", folder)
        except OSError as error:
            self.journal.say(f"cannot note the best checkpoint: {error.strerror or error}")

    def _failed(self, progress: Progress, error: SaveError | OSError) -> None:
        self._failures += 1
        if self.is_last(progress) or self._failures >= _FAILURES_IN_A_ROW:
            raise error
        self.journal.say(f"{error}; training goes on, the earlier checkpoints are whole")


@dataclass
class Evaluator:
    """Scores the validation split, and shows what the model writes by now."""

    model: GPT
    dataset: Dataset
    windows: EvaluationWindows | None
    """None where nothing was held out."""
    runtime: Runtime
    interrupt: Interrupt
    config: TrainingConfig
    samples_dir: Path | None
    """None on the ranks that draw none."""
    progress: Progress
    is_last: Callable[[Progress], bool]
    journal: Journal
    last_sample: str = field(default="", init=False)

    def evaluate(self) -> Evaluation | None:
        """Return the validation figures; None when a signal came, or nothing was held out."""
        evaluation = None
        if self.windows is not None:
            evaluation = evaluate(
                self.model,
                self.windows,
                self.runtime,
                self.dataset.tokenizer.token_bytes(),
                should_stop=lambda: bool(self.interrupt),
            )
        if self.runtime.is_main and self.config.sample_tokens and not self.interrupt:
            self._sample()
        return evaluation

    def _sample(self) -> None:
        with self.runtime.autocast():
            self.last_sample = training_sample(
                self.model, self.dataset.tokenizer, self.config, self.interrupt
            )
        assert self.samples_dir is not None
        path = self.samples_dir / f"{step_name(self.progress.step)}.txt"
        try:
            path.write_text(self.last_sample, encoding="utf-8", newline="")
        except OSError as error:
            self.journal.say(f"{path}: {error.strerror or error}; the sample is not kept")
        if not self.is_last(self.progress):  # the last one is shown whole
            self.journal.say(excerpt(self.last_sample))
