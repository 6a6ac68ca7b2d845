"""Signals: where something can be saved they are noted, everywhere else they end the process.

                      inside `Interrupt`    ... and `soon()`       ... and `at_once()`    after `end_on_signals()`
    first signal      noted                 noted; 5 s later:      ends the process       ends the process
                                            ends the process
    second Ctrl-C     ends the process

A process that ends so says why in one line and has the exit code 128 + signal. It does not clean up: whatever is being
written has another name until it is whole. In an interactive session (a notebook too) the session is the user's: there
a KeyboardInterrupt ends what it is doing.

Python runs handlers in the main thread, between two of its instructions: a signal has to wait for a call into C.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from gptkit.errors import Interrupted

SIGNALS = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")  # Windows has no SIGUSR1
    if name in signal.Signals.__members__
)

_SOON_SECONDS = 5.0
_LOOK_SECONDS = 0.2


class Interrupt(AbstractContextManager["Interrupt"]):
    """Notes SIGINT, SIGTERM and SIGUSR1 while it is entered, in place of dying of them.

    Python gives signals to the main thread only: entered elsewhere (a worker of a notebook) it
    notes nothing.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        """The first signal that came."""
        self._before: dict[int, Any] = {}
        self._at_once = False

    def __bool__(self) -> bool:
        """Whether a signal came."""
        return self.signal_number is not None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
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

    def check(self) -> None:
        """Raises: Interrupted when a signal came."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end the process inside: for long work with nothing to save that cannot ask for signals.

        Raises: Interrupted when one came before.
        """
        before, self._at_once = self._at_once, True
        try:
            self.check()
            yield
        finally:
            self._at_once = before

    @contextmanager
    def soon(self) -> Iterator[None]:
        """End the process where a signal came and the block did not end within 5 s.

        For work that mostly asks for signals and then tidies up, and sometimes waits long (for a server, for a disk).

        Raises: Interrupted when a signal came, also where the block failed after it: so it does when it waits for
        another rank, which has got the signal too and is gone.
        """
        left = threading.Event()
        threading.Thread(target=self._end_unless, args=(left,), daemon=True).start()
        try:
            self.check()
            yield
            self.check()
        except Exception:
            self.check()
            raise
        finally:
            left.set()

    def _end_unless(self, left: threading.Event) -> None:
        while not left.wait(_LOOK_SECONDS):
            if self.signal_number is not None and not left.wait(_SOON_SECONDS):
                _end_from_thread(self.signal_number)
                return

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.signal_number is not None and number == signal.SIGINT
        if self.signal_number is None:
            self.signal_number = number
        if again or self._at_once:
            _end(number)


def end_on_signals() -> None:
    """Let signals end this process from now on; for the main thread of a program, not for a library."""
    for number in SIGNALS:
        signal.signal(number, _end)
    # Registered first, so it runs last: the interpreter then takes all handlers away and itself down, and a signal
    # would change the exit code of what is over.
    atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt inside, as it does where nobody asks for anything else."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(number: int, frame: FrameType | None = None) -> None:
    """End this process; in an interactive session, only what it is doing."""
    if _is_interactive():
        raise KeyboardInterrupt
    if os.environ.get("RANK", "0") == "0":  # it speaks for the other ranks
        new_line = "\n" if os.isatty(2) else ""  # behind a progress bar, or behind ^C
        line = f"{new_line}stopped by {signal.Signals(number).name}\n"
        # Not sys.stderr: the signal may have come while it was being written to.
        with suppress(OSError):
            os.write(2, line.encode())
    os._exit(128 + number)


def _end_from_thread(number: int) -> None:
    if _is_interactive():
        _thread.interrupt_main()  # as a second Ctrl-C
    else:
        _end(number)


def _is_interactive() -> bool:
    return hasattr(sys, "ps1")
