"""Starting the installed program as child processes: cold, as a user does, or forked from a warm process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from faults.instrument import Instrument

SCRIPTS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Order:
    """A command to start."""

    argv: Sequence[str]
    """What comes after `gptkit`."""
    cwd: Path
    out: Path
    err: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside `clean_environment`."""
    instrument: Instrument | None = None
    file_size_limit: int | None = None
    """Bytes that no file of the process may exceed."""


class Child(Protocol):
    """A process that was started."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""

    def wait(self, seconds: float) -> int:
        """Return the exit code.

        Raises: TimeoutError.
        """

    def send(self, number: int) -> None:
        """Send a signal; nothing happens where the process has ended."""


class Program(Protocol):
    """A way to start `gptkit`."""

    def start(self, order: Order) -> Child: ...


def clean_environment() -> dict[str, str]:
    """Return the environment of every command: one thread, no settings of whoever runs this."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GPTKIT_")}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        kept.pop(name, None)
    return {**kept, "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "10000"}


class ColdProgram:
    """`python -m gptkit`, imports included."""

    def start(self, order: Order) -> Child:
        command = [sys.executable, "-m", "gptkit", *order.argv]
        if order.instrument is not None:
            spec = json.dumps(order.instrument.to_json())
            command = [sys.executable, "-m", "faults.instrument", spec, *order.argv]
        if order.file_size_limit is not None:
            limit = f"ulimit -f {order.file_size_limit // 512}; exec " + '"$@"'
            command = ["sh", "-c", limit, "sh", *command]
        environment = {**clean_environment(), **order.environment}
        if order.instrument is not None:
            paths = (str(SCRIPTS), environment.get("PYTHONPATH", ""))
            environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        with order.out.open("ab") as out, order.err.open("ab") as err:
            return _ColdChild(
                subprocess.Popen(
                    command,
                    cwd=order.cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            )


class _ColdChild:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def send(self, number: int) -> None:
        self._process.send_signal(number)
