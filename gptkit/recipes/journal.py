"""What a command says while it works: on stderr, and in log.txt once there is a run folder."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from gptkit.errors import Interrupted
from gptkit.loggers.console import Console
from gptkit.runtime.interrupt import Interrupt

_SECONDS_BETWEEN_LINES = 10.0


def say(text: str) -> None:
    """Print a line of chatter: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


class Journal:
    """Says things once: above the progress bar where there is one, and in the run's log."""

    def __init__(self, *, speaks: bool = True) -> None:
        """speaks: False for the ranks that leave it to rank 0."""
        self._speaks = speaks
        self._before_log: list[str] = []
        self._log: TextIO | None = None
        self.console: Console | None = None

    def say(self, text: str) -> None:
        """Print a line, and keep it for the log."""
        if not self._speaks:
            return
        if self.console is not None:
            self.console.say(text)
        else:
            say(text)
        self.note(text)

    def note(self, text: str) -> None:
        """Write a line to the log only."""
        if self._log is None:
            self._before_log.append(text)
            return
        with suppress(OSError):  # a full disk: the log is the least of it
            self._log.write(text + "\n")
            self._log.flush()

    def open_log(self, path: Path) -> None:
        """Begin the log, with what was said so far."""
        with suppress(OSError):
            self._log = path.open("a", encoding="utf-8")
        for text in self._before_log:
            self.note(text)
        self._before_log = []

    def close(self) -> None:
        """End the progress bar and the log."""
        if self.console is not None:
            self.console.close()
            self.console = None
        if self._log is not None:
            with suppress(OSError):
                self._log.close()
            self._log = None


class TerminalProgress:
    """Shows how much of a text has been read: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, interrupt: Interrupt | None = None) -> None:
        """interrupt: a signal that came ends the work at the next piece of text."""
        self._interrupt = interrupt
        self._bar: tqdm[Any] | None = None
        self._task = ""
        self._done = 0
        self._total: int | None = None
        self._last_line = 0.0

    def start(self, task: str, total_bytes: int | None) -> None:
        """Begin a task of about `total_bytes`; None: nobody knows how many."""
        self._task, self._done, self._total = task, 0, total_bytes
        self._last_line = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=total_bytes,
                desc=task,
                unit="B",
                unit_scale=True,
                leave=False,
                dynamic_ncols=True,
            )

    def advance(self, num_bytes: int) -> None:
        """Count bytes that are done.

        Raises: Interrupted when a signal came.
        """
        if self._interrupt is not None and self._interrupt.signal_number is not None:
            raise Interrupted(self._interrupt.signal_number)
        self._done += num_bytes
        if self._bar is not None:
            self._bar.update(num_bytes)
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            share = f" ({100 * self._done / self._total:.0f} %)" if self._total else ""
            say(f"{self._task}: {self._done / 1e6:,.0f} MB{share}")

    def finish(self) -> None:
        """End the task that was started last."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
