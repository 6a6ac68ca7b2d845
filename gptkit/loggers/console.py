"""Metrics on the terminal: a progress bar where someone watches, plain lines where a file does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TextIO

from tqdm import tqdm

from gptkit.loggers.base import Metrics


class Console:
    """Shows where training stands: loss, learning rate, tokens/s, time left.

    On a terminal a bar, with a line above it for each evaluation; else a line every `log_every`
    steps and for each evaluation. Its lines are ASCII, so that they print in any encoding.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        max_steps: int | None,
        seconds: float | None = None,
        first_step: int = 0,
        log_every: int = 10,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """stream: standard error. max_steps: None where no number of steps ends the run.

        seconds: until a time budget does; its run is expected to end by it, so no total of steps
        is shown. None: no such budget. first_step: steps that were done before this start.
        """
        self._stream = stream
        self._max_steps = max_steps
        self._shown_total = max_steps if seconds is None else None
        self._seconds = seconds
        self._first_step = first_step
        self._log_every = log_every
        self._now = now
        self._started = now()
        self._bar: tqdm[NoReturn] | None = None
        if stream.isatty():
            self._bar = tqdm(
                total=self._shown_total,
                initial=first_step,
                file=stream,
                unit="step",
                dynamic_ncols=True,
            )

    def log(self, metrics: Metrics, step: int) -> None:
        evaluated = "val_loss" in metrics
        if self._bar is None:
            if evaluated or step % self._log_every == 0 or step == self._max_steps:
                self.say(self._line(metrics, step))
            return
        with suppress(OSError):  # a terminal that went away (a closed ssh session) ends no run
            # A bar with a total reckons the time left itself.
            left = [] if self._shown_total is not None else self._time_left(step)
            self._bar.set_postfix_str(", ".join([*_facts(metrics), *left]), refresh=False)
            self._bar.update(step - self._bar.n)
        if evaluated:
            self.say(self._line(metrics, step))

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        with suppress(OSError):
            if self._bar is not None:
                self._bar.write(text, file=self._stream)
            else:
                print(text, file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()

    def _line(self, metrics: Metrics, step: int) -> str:
        of = f"/{self._shown_total}" if self._shown_total is not None else ""
        left = self._time_left(step) if self._bar is None else []
        return "  ".join([f"step {step}{of}", *_facts(metrics), *left])

    def _time_left(self, step: int) -> list[str]:
        passed, done = self._now() - self._started, step - self._first_step
        ends = []
        if self._max_steps is not None and done > 0:
            ends.append(passed / done * (self._max_steps - step))
        if self._seconds is not None:
            ends.append(self._seconds - passed)
        if not ends or step == self._max_steps:
            return []
        return [f"{duration(max(0.0, min(ends)))} left"]


def duration(seconds: float) -> str:
    """Return a time as people say it: 7s, 3m05s, 2h07m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def _facts(metrics: Metrics) -> list[str]:
    forms = {
        "train_loss": "loss {:.4f}",
        "val_loss": "val loss {:.4f}",
        "val_bits_per_byte": "{:.4f} bits/byte",
        "learning_rate": "lr {:.2e}",
        "tokens_per_second": "{:,.0f} tokens/s",
    }
    return [form.format(metrics[key]) for key, form in forms.items() if key in metrics]
