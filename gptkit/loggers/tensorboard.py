"""Metrics for TensorBoard."""

from __future__ import annotations

from gptkit.loggers.base import Metrics, TrackedRun
from gptkit.loggers.config import TensorBoardConfig, missing_package


class TensorBoardLogger:
    """Writes event files to the run folder's `tensorboard/`."""

    def __init__(self, section: TensorBoardConfig, run: TrackedRun) -> None:
        """Raises: ConfigError when tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_package("tensorboard") from None
        # What was logged since the checkpoint, its own step included, is logged again.
        purge = run.step or None
        self._writer = SummaryWriter(str(run.run_dir / "tensorboard"), purge_step=purge)

    def log(self, metrics: Metrics, step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()
