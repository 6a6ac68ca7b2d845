"""The trials of a sweep: what each changes, how it went, and the file that remembers both.

sweep.json    {"format_version": 1, "config": "mine", "trials": [{"settings": {...}, "exit_code": 0}, ...]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gptkit.atomic import write_text
from gptkit.loggers.metrics import METRICS_NAME, Row, read_metrics

SWEEP_NAME = "sweep.json"
_DIVERGED = 4


@dataclass
class Trial:
    """One run of a sweep."""

    number: int
    settings: dict[str, Any]
    exit_code: int | None = None
    """None: not at its end yet."""

    @property
    def name(self) -> str:
        return f"trial-{self.number:03d}"

    @property
    def is_done(self) -> bool:
        """Whether trying again would change nothing."""
        return self.exit_code in (0, _DIVERGED)

    @property
    def status(self) -> str:
        words = {0: "done", None: "not finished", _DIVERGED: "diverged"}
        return words.get(self.exit_code, f"failed ({self.exit_code})")


@dataclass(frozen=True)
class Result:
    """A trial with what its run reached."""

    trial: Trial
    rows: list[Row]

    @property
    def best(self) -> Row:
        """The metrics of the lowest validation loss; nothing where none was measured."""
        rows = [row for row in self.rows if row.get("val_loss") is not None]
        return min(rows, key=lambda row: row["val_loss"] or 0.0, default={})

    @property
    def loss(self) -> float | None:
        return self.best.get("val_loss")


def result(folder: Path, trial: Trial) -> Result:
    """Return what a trial reached so far."""
    return Result(trial, read_metrics(folder / trial.name / METRICS_NAME))


def write_trials(folder: Path, config: str, trials: Sequence[Trial]) -> None:
    """Remember the trials."""
    content = {
        "format_version": 1,
        "config": config,
        "trials": [asdict(trial) for trial in trials],
    }
    write_text(folder / SWEEP_NAME, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_trials(folder: Path) -> dict[int, Trial]:
    """Return the trials that were remembered, by number; nothing where the file is missing or damaged."""
    try:
        trials = json.loads((folder / SWEEP_NAME).read_bytes())["trials"]
        return {int(trial["number"]): Trial(**trial) for trial in trials}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
