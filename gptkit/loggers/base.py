"""What a logger is, and how several act as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Metrics = Mapping[str, float | int]
"""Names as in metrics.jsonl: train_loss, val_loss, learning_rate, tokens_per_second, ..."""


class MetricLogger(Protocol):
    """Takes the metrics of a step somewhere: a file, the terminal, a tracker."""

    def log(self, metrics: Metrics, step: int) -> None:
        """Record the metrics of a step; after a rollback steps come again."""
        ...

    def close(self) -> None:
        """Write out what is buffered; nothing is logged afterwards."""
        ...


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told about the run that it records."""

    run_dir: Path
    step: int = 0
    """Steps done when recording starts: above 0 for a resumed run."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The resolved config, as plain values."""

    @property
    def name(self) -> str:
        return self.run_dir.absolute().name


class LoggerGroup:
    """Several loggers as one. One that fails is dropped with a warning: no run ends for its log."""

    def __init__(self, loggers: Sequence[MetricLogger], *, warn: Callable[[str], None]) -> None:
        self._loggers = list(loggers)
        self._warn = warn

    def log(self, metrics: Metrics, step: int) -> None:
        for logger in tuple(self._loggers):
            try:
                logger.log(metrics, step)
            except Exception as error:
                self._loggers.remove(logger)
                self._say(f"{_in_words(logger, error)}; the run goes on without it")

    def close(self) -> None:
        for logger in self._loggers:
            try:
                logger.close()
            except Exception as error:
                self._say(f"{_in_words(logger, error)} while closing")
        self._loggers.clear()

    def _say(self, text: str) -> None:
        with suppress(OSError):  # standard error may be what failed
            self._warn(text)


def _in_words(logger: MetricLogger, error: Exception) -> str:
    return f"{type(logger).__name__} failed: {type(error).__name__}: {error}"
