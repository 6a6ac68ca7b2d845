"""Several processes for one run, one a device: what torchrun does, for one machine.

A process learns its place from the variables that torchrun sets too, so both ways of starting are
one to the rest.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from gptkit.runtime.interrupt import SIGNALS
from gptkit.runtime.lifeline import LIFELINE

_POLL_SECONDS = 0.05
# Long enough to write a message, short enough not to look like a hang. A rank that waits for a dead
# one cannot listen.
_OWN_END_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_SAVING_SECONDS = 50.0
_STOPPED = {128 + number for number in SIGNALS}

Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Place:
    """The place of this process among those of its run."""

    rank: int = 0
    local_rank: int = 0
    """Number of the device on this machine."""
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Place:
        """Return what torchrun or `launch` said; a process that neither started is the only one."""
        rank = int(os.environ.get("RANK", "0"))
        return cls(
            rank=rank,
            local_rank=int(os.environ.get("LOCAL_RANK", rank)),
            world_size=int(os.environ.get("WORLD_SIZE", "1")),
        )


def is_launched() -> bool:
    """Whether torchrun or `launch` started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launch(devices: int, argv: Sequence[str]) -> int:
    """Run `python -m gptkit *argv` once per device and return the exit code of the run.

    Signals are passed on. When one process ends early, the others are ended: they would wait for it
    for ever. When this one dies, they end too.
    """
    return run_ranks(devices, [sys.executable, "-m", "gptkit", *argv])


def run_ranks(world_size: int, command: Sequence[str]) -> int:
    """Run `command` as `world_size` ranks and return the exit code that tells what happened."""
    port = _free_port()
    ranks = range(world_size)
    children = [_start(command, _environment(rank, world_size, port)) for rank in ranks]
    try:
        with _passing_on_signals(children):
            return _wait(children)
    finally:
        _kill(children)


def _environment(rank: int, world_size: int, port: int) -> dict[str, str]:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        LIFELINE: "1",
    }
    # Each process would otherwise start a thread per core, and all of them would fight for the
    # cores.
    environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // world_size)))
    if os.name == "nt":
        environment.setdefault("USE_LIBUV", "0")  # torch's wheels for Windows are built without it
    return environment


def _start(command: Sequence[str], environment: dict[str, str]) -> Child:
    # In a session of its own a child does not get the terminal's Ctrl-C, which
    # `_passing_on_signals` brings: two of them would mean "end at once".
    # Nothing is ever written to its stdin: that it ends tells the child that this process is gone.
    return subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.PIPE,
        start_new_session=os.name != "nt",
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _passing_on_signals(children: Sequence[Child]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        if os.name == "nt" and number == signal.SIGINT:
            return  # the console has told every process already
        _send(children, number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(children: Sequence[Child]) -> int:
    """Wait until all have ended well, or one has not; end the others then. Return the code."""
    while None in (codes := [child.poll() for child in children]):
        if ended := [_exit_code(code) for code in codes if code]:
            # After a signal one rank may still be saving while the others are done.
            stopped = _STOPPED.issuperset(ended)
            _end_in_order(children, _SAVING_SECONDS if stopped else _GRACE_SECONDS)
            break
        time.sleep(_POLL_SECONDS)
    return _telling([_exit_code(child.returncode) for child in children])


def _telling(codes: Sequence[int]) -> int:
    """Return the code that tells most.

    A rank that fails because another did only says 1, and one that was ended for that reason says
    that a signal came.
    """
    failed = [code for code in codes if code]
    return min(
        failed,
        key=lambda code: (code not in range(2, 6), code in _STOPPED, code == 1),
        default=0,
    )


def _exit_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _end_in_order(children: Sequence[Child], grace_seconds: float) -> None:
    """Give the other ranks time to say why they fail too, ask them to end, then make them."""
    if not _wait_for_all(children, seconds=_OWN_END_SECONDS):
        _send(children, signal.SIGTERM)
        _wait_for_all(children, seconds=grace_seconds)
    _kill(children)


def _kill(children: Sequence[Child]) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


def _send(children: Sequence[Child], number: int) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _wait_for_all(children: Sequence[Child], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while None in [child.poll() for child in children]:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
