"""Metrics for Weights & Biases."""

from __future__ import annotations

from gptkit.loggers.base import Metrics, TrackedRun
from gptkit.loggers.config import WandbConfig, missing_package
from gptkit.loggers.tracked import tracked_id


class WandbLogger:
    """Sends metrics to a W&B project; a resumed run goes on where it was."""

    def __init__(self, section: WandbConfig, run: TrackedRun) -> None:
        """Raises: ConfigError when wandb is not installed."""
        try:
            from wandb import init  # a mere folder of this name has no init
        except ImportError:
            raise missing_package("wandb") from None
        self._run = init(
            project=section.project,
            name=run.name,
            id=tracked_id(run, "wandb"),
            resume="allow",
            dir=str(run.run_dir),
            config=dict(run.settings),
        )

    def log(self, metrics: Metrics, step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        self._run.finish()
