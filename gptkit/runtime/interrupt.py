"""Signals: the first one asks the work to end at its next good place; a second Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt(AbstractContextManager["Interrupt"]):
    """Notes SIGINT and SIGTERM while it is entered, in place of dying of them.

    Python gives signals to the main thread only: entered elsewhere (a worker of a notebook) it
    notes nothing.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        """The first signal that came."""
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Whether a signal came."""
        return self.signal_number is not None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            # Not even cleaning up: what is being written has another name until it is whole.
            os._exit(128 + number)
        if self.signal_number is None:
            self.signal_number = number
