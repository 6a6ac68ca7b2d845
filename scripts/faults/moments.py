"""Random moments of a run, whatever else the machine does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from faults.project import RUN
from faults.trial import Command, Trial
from faults.undisturbed import Reference

_POLL_SECONDS = 0.004
_PART_OF_A_STEP_SECONDS = 0.04
_SHARE_BY_CLOCK = 0.4


def wait_for_a_moment(trial: Trial, command: Command, reference: Reference) -> None:
    """Wait until a random moment of the run, or its end.

    By the clock, which may be anywhere from starting python on; or some way into a random step, so
    that a slow machine does not have all moments fall into the preparation.
    """
    rng = trial.rng
    if rng.random() < _SHARE_BY_CLOCK:
        seconds = rng.uniform(0.0, reference.seconds(trial))
        wait_until(command, lambda: time.monotonic() - command.started > seconds)
        return
    run = trial.folder / RUN
    begun = lines_of(run)
    wanted = rng.randint(begun, max(begun, reference.project.max_steps - 1))
    wait_until(command, lambda: lines_of(run) > wanted)
    time.sleep(rng.uniform(0.0, _PART_OF_A_STEP_SECONDS))


def wait_until(command: Command, happened: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Wait until something happened, the command ended or the time is up; return whether it happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        if command.child.poll() is not None or time.monotonic() > deadline:
            return happened()
        time.sleep(_POLL_SECONDS)
    return True


def lines_of(run: Path) -> int:
    """Return how many lines metrics.jsonl has."""
    try:
        return (run / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0
