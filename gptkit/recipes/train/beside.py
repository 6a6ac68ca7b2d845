"""What happens beside the steps of a run: checkpoints, evaluations with a sample, lines of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from gptkit.checkpoint import Retention, SaveError, abandon_newer, point, step_name
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import Contents, OptimizerState, save
from gptkit.checkpoint.writer import BackgroundWriter
from gptkit.config import RunConfig, dump_config
from gptkit.data.dataset import Dataset
from gptkit.model import GPT
from gptkit.model.lora import merged_in_place
from gptkit.recipes.journal import Journal
from gptkit.recipes.train.batches import ScoredBatches, score
from gptkit.recipes.writing import excerpt, training_sample
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.runtime import Runtime
from gptkit.section import Section
from gptkit.training.config import TrainingConfig
from gptkit.training.evaluate import Evaluation
from gptkit.training.progress import Progress
from gptkit.training.snapshot import Snapshot

_FAILURES_IN_A_ROW = 3
_QUICK_SAVE_SECONDS = 0.1


@dataclass
class Saver:
    """Writes a run's checkpoints while training goes on.

    One that fails is a warning; the third in a row, or the last, ends the run.
    """

    run_dir: Path
    config: RunConfig
    """Without any `auto`."""
    contents: Contents
    """What stays the same from checkpoint to checkpoint; weights, state and config are filled in."""
    journal: Journal

    def __post_init__(self) -> None:
        self._writer = BackgroundWriter()
        self._retention = Retention(self.run_dir, self.config.training.keep_checkpoints)
        self._failures: list[SaveError | OSError] = []

    def save(self, snapshot: Snapshot) -> None:
        """Write the checkpoint of this step, beside the next steps where it takes long.

        Raises: SaveError, OSError when the third in a row failed.
        """
        contents = replace(
            self.contents,
            config=dump_config(self.config),
            weights=snapshot.weights,
            state={**self.contents.state, "progress": snapshot.progress.to_json()},
            optimizer=OptimizerState(snapshot.optimizer_tensors, snapshot.optimizer_values),
        )
        self._writer.submit(lambda: self._write(snapshot.progress.step, contents))
        # A small model makes hundreds of steps while a disk flushes; they would be lost with it.
        self._writer.linger(_QUICK_SAVE_SECONDS)

    def mark_best(self, progress: Progress) -> None:
        """Let `best` name the checkpoint of this step, before its line of metrics says so."""
        self._writer.wait()
        folder = checkpoints_folder(self.run_dir) / step_name(progress.step)
        if not folder.is_dir():
            return  # it could not be saved, which was said
        try:
            point(self.run_dir, "best", folder)
        except OSError as error:
            self.journal.say(f"cannot note the best checkpoint: {error.strerror or error}")

    def go_back(self, progress: Progress, words: str) -> None:
        """Set the checkpoints after this step aside: the run does these steps again."""
        self._writer.wait()
        self.journal.say(words)
        for note in abandon_newer(self.run_dir, progress.step):
            self.journal.say(note)

    def finish(self, *, complete: bool) -> None:
        """Wait for the last checkpoint.

        complete: no step follows, so that no more than the user asked for are kept.

        Raises: SaveError, OSError when it could not be written.
        """
        self._writer.wait()
        if self._failures:
            raise self._failures[-1]
        if complete:
            for problem in self._retention.finish():
                self.journal.say(problem)

    def close(self) -> None:
        """Let what is being written become whole."""
        self._writer.close()

    def _write(self, step: int, contents: Contents) -> None:
        try:
            folder = save(self.run_dir, step, contents)
            point(self.run_dir, "last", folder)
        except (SaveError, OSError) as error:
            self._failures.append(error)
            if len(self._failures) >= _FAILURES_IN_A_ROW:
                raise
            self.journal.say(f"{error}; training goes on, the earlier checkpoints are whole")
            return
        self._failures.clear()
        # A rollback of a run that is resumed here needs the milestone before it.
        milestone = self.config.training.last_milestone(step)
        for problem in self._retention.apply(spare={step_name(milestone)}):
            self.journal.say(problem)


@dataclass
class Evaluator:
    """Scores the validation split, and shows what the model writes by now."""

    model: GPT
    dataset: Dataset
    windows: ScoredBatches | None
    """None where nothing was held out."""
    runtime: Runtime
    interrupt: Interrupt
    config: TrainingConfig
    objective: Section
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
            evaluation = score(
                self.objective,
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
        with self.runtime.autocast(), merged_in_place(self.model):
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
