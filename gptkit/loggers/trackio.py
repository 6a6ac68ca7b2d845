"""Metrics for trackio."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from gptkit.loggers.base import Metrics, TrackedRun
from gptkit.loggers.config import TrackioConfig, missing_package
from gptkit.loggers.tracked import tracked_id


class TrackioLogger:
    """Records metrics in trackio's store on this machine; a resumed run goes on where it was."""

    def __init__(self, section: TrackioConfig, run: TrackedRun) -> None:
        """Raises: ConfigError when trackio is not installed."""
        try:
            from trackio import finish, init  # a mere folder of this name has no init
        except ImportError:
            raise missing_package("trackio") from None
        # The module's finish, not the run's: after that one trackio ends the run again at exit.
        self._finish = finish
        with redirect_stdout(sys.stderr):  # it prints greetings; stdout is for results
            self._run = init(
                project=section.project,
                name=tracked_id(run, "trackio"),
                config=dict(run.settings),
                resume="allow",
            )

    def log(self, metrics: Metrics, step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._finish()
