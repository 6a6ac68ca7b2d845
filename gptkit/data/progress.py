"""How long work tells its caller how far it is; nothing in this room writes to the terminal."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What the caller of long work gives: a progress bar, a log, or `Silent`."""

    def start(self, task: str, total_bytes: int | None) -> None:
        """Begin a task of about `total_bytes`; None: nobody knows how many."""

    def advance(self, num_bytes: int) -> None:
        """Count bytes that are done."""

    def finish(self) -> None:
        """End the task that was started last."""


class Silent:
    """Progress that nobody watches."""

    def start(self, task: str, total_bytes: int | None) -> None:
        pass

    def advance(self, num_bytes: int) -> None:
        pass

    def finish(self) -> None:
        pass
