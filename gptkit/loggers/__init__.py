"""Where the metrics of a run go: metrics.jsonl, the terminal, trackers, a drawn curve."""

from gptkit.loggers.base import LoggerGroup, MetricLogger, Metrics, TrackedRun

__all__ = ["LoggerGroup", "MetricLogger", "Metrics", "TrackedRun"]
