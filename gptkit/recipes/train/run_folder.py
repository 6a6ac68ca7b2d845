"""The folder of a run that is being trained: claimed, locked, and its logs open."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gptkit.atomic import write_text
from gptkit.checkpoint.store import CONFIG_NAME
from gptkit.config import RunConfig, dump_config
from gptkit.data.folders import remove
from gptkit.errors import GptkitError, RunInUseError
from gptkit.loggers.base import LoggerGroup, MetricLogger, TrackedRun
from gptkit.loggers.config import LOGGERS
from gptkit.loggers.console import Console
from gptkit.loggers.metrics import METRICS_NAME, MetricsFile, trim
from gptkit.recipes.journal import Journal
from gptkit.runs import hold_run, holds_run, make_run_dir, new_run_dir, start_run

LOG_NAME = "log.txt"
SAMPLES_NAME = "samples"


@dataclass(frozen=True)
class RunFolder:
    """A run folder that this process holds."""

    path: Path
    loggers: LoggerGroup
    _metrics: MetricsFile

    @property
    def samples(self) -> Path:
        """Where the samples of each evaluation go."""
        return self.path / SAMPLES_NAME

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved settings, in place of what was there."""
        write_text(self.path / CONFIG_NAME, dump_config(config))

    def go_back(self, step: int) -> None:
        """Drop the metrics after `step`."""
        self._metrics.go_back(step)


@contextmanager
def claim(config: RunConfig, name: str, journal: Journal) -> Iterator[Path]:
    """Make the run folder and keep a second writer out.

    Raises: ConfigError when it cannot be made; RunInUseError when another process trains in it, or has since the config
    was checked.
    """
    if config.run_dir is None:
        run_dir = new_run_dir(name)
    else:
        run_dir = config.run_dir
        make_run_dir(run_dir)
    with hold_run(run_dir, warn=journal.say):
        if holds_run(run_dir):
            raise RunInUseError(f"another process was quicker to start a run in '{run_dir}'")
        yield run_dir


@contextmanager
def open_run_folder(
    run_dir: Path,
    config: RunConfig,
    plugins: Mapping[str, str],
    journal: Journal,
    *,
    first_step: int,
    max_steps: int | None,
    seconds: float | None,
) -> Iterator[RunFolder]:
    """Record the start, write the resolved config, open metrics, log and trackers; close them at the end."""
    (run_dir / SAMPLES_NAME).mkdir(exist_ok=True)
    write_text(run_dir / CONFIG_NAME, dump_config(config))
    for name, source in plugins.items():
        write_text(run_dir / name, source)  # config.yaml finds them beside it
    start_run(run_dir)
    # The step of the checkpoint is evaluated, and its line written, again.
    trim(run_dir / METRICS_NAME, first_step - 1)
    tracked = TrackedRun(run_dir, first_step, config.model_dump(mode="json"))
    journal.open_log(run_dir / LOG_NAME)
    journal.console = Console(
        sys.stderr,
        max_steps=max_steps,
        seconds=seconds,
        first_step=first_step,
        log_every=config.training.log_every,
    )
    metrics = MetricsFile(run_dir / METRICS_NAME, warn=journal.say)
    loggers: list[MetricLogger] = [
        metrics,
        journal.console,
        *(LOGGERS.build(section, tracked) for section in config.loggers),
    ]
    group = LoggerGroup(loggers, warn=journal.say)
    try:
        yield RunFolder(run_dir, group, metrics)
    finally:
        group.close()
        journal.console = None


@contextmanager
def removed_on_error(parent: Path) -> Iterator[list[Path]]:
    """Where a mistake of the user's ends the block, remove what is new below `parent` of the paths put on the list.

    Folders that were made for them go too, where nobody else has put anything there.
    """
    there = set(parent.glob("*"))
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        yield made
    except GptkitError:
        for path in made:
            if path.parent == parent and path not in there:
                remove(path)
        for folder in missing:
            with suppress(OSError):  # somebody else's by now
                folder.rmdir()
        raise
