"""One trial: a fault in a folder of its own, with everything that was started written down."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.instrument import Instrument
from faults.program import Child, Order, Program

PATIENCE_SECONDS = 120.0
_LINES_KEPT = 15


class BrokenError(Exception):
    """A law does not hold; the message says which, with the values."""


def require(holds: bool, words: str) -> None:
    """Raise a BrokenError unless the law holds."""
    if not holds:
        raise BrokenError(words)


@dataclass(frozen=True)
class Seen:
    """What a trial that kept the laws saw."""

    faults: int = 1
    """How many faults were injected."""
    worst: Mapping[str, float] = field(default_factory=dict)
    """Values of which the row reports the largest: steps lost, seconds until it ended."""


@dataclass
class Command:
    """A command that runs, or ran."""

    argv: Sequence[str]
    child: Child
    out: Path
    err: Path
    started: float
    cold: bool
    seconds: float = 0.0
    """How long it ran, once `wait` has returned."""

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return its exit code as a shell shows it: 128 + n for a signal.

        Raises: BrokenError when it does not end; it is killed then.
        """
        try:
            code = self.child.wait(seconds)
        except TimeoutError:
            self.child.send(signal.SIGKILL)
            self.child.wait(PATIENCE_SECONDS)
            raise BrokenError(f"gptkit {' '.join(self.argv)}: no end in {seconds:.0f} s") from None
        self.seconds = time.monotonic() - self.started
        return 128 - code if code < 0 else code

    @property
    def message(self) -> str:
        """What it wrote on stderr."""
        return self.err.read_text(encoding="utf-8", errors="replace") if self.err.exists() else ""


@dataclass
class Trial:
    """A folder, a source of chance and a way to start the program."""

    number: int
    folder: Path
    rng: Random
    program: Program
    cold: bool
    """Whether `program` starts python anew for each command."""
    commands: list[Command] = field(default_factory=list)

    def start(
        self,
        *argv: str,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        instrument: Instrument | None = None,
        file_size_limit: int | None = None,
        program: Program | None = None,
    ) -> Command:
        """Start `gptkit ARGV...` in the trial's folder; `program` only where not the trial's own."""
        number = len(self.commands) + 1
        out, err = (self.folder / f"command_{number}.{name}" for name in ("out", "err"))
        order = Order(
            argv,
            cwd or self.folder,
            out,
            err,
            environment or {},
            instrument,
            file_size_limit,
        )
        started = time.monotonic()
        child = (program or self.program).start(order)
        cold = self.cold if program is None else type(program).__name__ == "ColdProgram"
        command = Command(argv, child, out, err, started, cold)
        self.commands.append(command)
        return command

    def run(self, *argv: str, expect: int | Sequence[int] = 0, **options: object) -> Command:
        """Run a command to its end.

        Raises: BrokenError when its exit code is not the expected one.
        """
        command = self.start(*argv, **options)  # type: ignore[arg-type]
        code = command.wait()
        allowed = [expect] if isinstance(expect, int) else expect
        require(
            code in allowed,
            f"gptkit {' '.join(argv)}: exit code {code}, not {expect}: {last_line(command.message)}",
        )
        no_traceback(command)
        return command

    def end(self) -> None:
        """Kill what still runs."""
        for command in self.commands:
            if command.child.poll() is None:
                command.child.send(signal.SIGKILL)

    def record(self) -> str:
        """Return the commands of the trial with their exit codes and the ends of their messages."""
        return "\n".join(map(_record, self.commands))


TrialFunction = Callable[[Trial], Seen]


def no_traceback(command: Command) -> None:
    """Require that a command ended without one."""
    require("Traceback (most recent" not in command.message, f"a traceback: {command.err}")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(nothing on stderr)"


def _record(command: Command) -> str:
    code = command.child.poll()
    how = "cold" if command.cold else "warm"
    lines = command.message.splitlines()[-(_LINES_KEPT if code else 1) :]
    said = "".join(f"\n    {line}" for line in lines)
    return f"$ gptkit {' '.join(command.argv)}   # {how}, exit code {code}{said}"
