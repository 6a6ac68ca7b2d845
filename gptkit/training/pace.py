"""How fast a run is: tokens per second of training proper, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pace:
    """Counts tokens and seconds between two lines of metrics, without evaluating and saving."""

    def __init__(
        self,
        *,
        elapsed_before: float = 0.0,
        flops_per_token: float | None = None,
        peak_flops: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """elapsed_before: seconds of the run's earlier starts; peak_flops: of all devices."""
        self._now = now
        self._start = self._line_start = now()
        self._elapsed_before = elapsed_before
        self._flops_per_token = flops_per_token
        self._peak_flops = peak_flops
        self._tokens = 0
        self._paused = 0.0
        self._waited = 0.0

    @property
    def elapsed_seconds(self) -> float:
        """Seconds of the run, everything included."""
        return self._elapsed_before + self._now() - self._start

    def add(self, tokens: int) -> None:
        """Count the tokens of a step, over all ranks."""
        self._tokens += tokens

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what happens inside: it is no training."""
        start = self._now()
        try:
            yield
        finally:
            self._paused += self._now() - start

    def take(self, *, waited_seconds: float) -> dict[str, float]:
        """Return the metrics since the last call; waited_seconds: for data, since the start."""
        now = self._now()
        seconds = now - self._line_start - self._paused
        tokens, waited = self._tokens, waited_seconds - self._waited
        self._line_start, self._waited = now, waited_seconds
        self._tokens, self._paused = 0, 0.0
        metrics = {"elapsed_seconds": round(self.elapsed_seconds, 3)}
        if tokens and seconds > 0:
            rate = tokens / seconds
            metrics |= {
                "tokens_per_second": round(rate, 1),
                "data_wait": round(waited / seconds, 5),
            }
            if self._flops_per_token is not None and self._peak_flops is not None:
                metrics["mfu"] = round(rate * self._flops_per_token / self._peak_flops, 5)
        return metrics
