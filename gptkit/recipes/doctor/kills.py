"""Training a copy of a run in processes of their own, and killing them at chosen moments."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gptkit.checkpoint.names import strays
from gptkit.errors import GptkitError, Interrupted
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.runtime.interrupt import Interrupt
from gptkit.runtime.lifeline import LIFELINE

_POLL_SECONDS = 0.002
_FILES_OF_A_CHECKPOINT = 5

Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Moment:
    """When to kill."""

    step: int
    """Once the line of this step is in the metrics."""
    later: float
    """That much later, as a share of the time of a step."""
    saving_files: int | None = None
    """In place of that: while a checkpoint is written that has so many files; None: not then."""


@dataclass(frozen=True)
class Kill:
    """A process that was killed while it worked."""

    step: int
    """Last step in its metrics."""
    while_saving: bool
    """Whether it left an unfinished checkpoint."""


def choose_moments(rng: random.Random, first_step: int, steps: int, kills: int) -> list[Moment]:
    """Return the moments of `kills` kills in the `steps` steps after `first_step`, in their order.

    Of two or more, one is while a checkpoint is saved.
    """
    at = sorted(rng.randrange(first_step, first_step + steps) for _ in range(kills))
    saving = rng.randrange(kills) if kills > 1 else None
    return [
        Moment(
            step,
            later=rng.random(),
            saving_files=rng.randrange(_FILES_OF_A_CHECKPOINT) if i == saving else None,
        )
        for i, step in enumerate(at)
    ]


def step_seconds(run_dir: Path) -> float:
    """Return about how long a step takes, by the metrics of a run; 0 where they do not say."""
    rows = read_metrics(run_dir / METRICS_NAME)
    seconds = [value for row in rows if (value := row.get("elapsed_seconds")) is not None]
    return (seconds[-1] - seconds[0]) / (len(seconds) - 1) if len(seconds) > 1 else 0.0


@dataclass(frozen=True)
class Trainer:
    """Runs `gptkit train` on a run folder."""

    config: Path
    log: Path
    """Takes what the processes say."""
    interrupt: Interrupt

    def to_the_end(self, run_dir: Path) -> None:
        """Train without interruption.

        Raises: GptkitError when training fails; Interrupted when a signal came.
        """
        with self._started(run_dir) as child:
            self._wait(child, lambda: False)
            self._check(child.returncode)

    def with_kills(
        self,
        run_dir: Path,
        moments: Sequence[Moment],
        step_seconds: float,
        *,
        say: Callable[[str], None],
    ) -> list[Kill]:
        """Train, killed at each of the moments and resumed; return the kills that hit.

        Raises: as `to_the_end`.
        """
        kills: list[Kill] = []
        for moment in moments:
            before = set(strays(run_dir))
            with self._started(run_dir) as child:
                self._wait(child, _reached(moment, run_dir))
                self._wait(child, _passed(moment.later * step_seconds))
                is_hit = self._kill(child)
            if not is_hit:
                return kills  # it is complete: there is nothing left to kill
            kill = Kill(_last_step(run_dir), while_saving=bool(set(strays(run_dir)) - before))
            kills.append(kill)
            what = "saved" if kill.while_saving else "trained"
            say(f"killed the second copy after step {kill.step}, while it {what}")
        self.to_the_end(run_dir)
        return kills

    @contextmanager
    def _started(self, run_dir: Path) -> Iterator[Child]:
        command = ["-m", "gptkit", "train", str(self.config), "--run-dir", str(run_dir)]
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, *command, "--resume", "auto"],
                env={**os.environ, LIFELINE: "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        try:
            yield child
        finally:
            child.kill()  # does nothing where it has ended
            child.communicate()

    def _wait(self, child: Child, until: Callable[[], bool]) -> None:
        while child.poll() is None and not until():
            if self.interrupt.signal_number is not None:
                raise Interrupted(self.interrupt.signal_number)
            time.sleep(_POLL_SECONDS)

    def _kill(self, child: Child) -> bool:
        """Kill a process; return whether it was still at work.

        Raises: GptkitError when it had failed by itself.
        """
        if child.poll() is None:
            child.kill()
            if child.wait() != 0:
                return True
        self._check(child.returncode)
        return False

    def _check(self, code: int) -> None:
        if code == 0:
            return
        if self.interrupt.signal_number is not None:  # a Ctrl-C goes to the process too
            raise Interrupted(self.interrupt.signal_number)
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = next((line for line in lines if line.startswith("error: ")), (lines or [""])[-1])
        error = GptkitError(f"a copy cannot be trained: {said.removeprefix('error: ')}")
        error.exit_code = code if code > 0 else 1
        raise error


def _reached(moment: Moment, run_dir: Path) -> Callable[[], bool]:
    """Return what says whether the moment has come, for a process that starts now."""
    if moment.saving_files is not None:
        before, files = set(strays(run_dir)), moment.saving_files
        return lambda: any(_count(folder) >= files for folder in set(strays(run_dir)) - before)
    metrics = run_dir / METRICS_NAME
    at_start = _signature(metrics)
    # What was logged before is no progress of this process. And as long as it may replace the file,
    # the file is not opened: Windows would refuse to.
    return lambda: _signature(metrics) != at_start and _last_step(run_dir) >= moment.step


def _passed(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _last_step(run_dir: Path) -> int:
    rows = read_metrics(run_dir / METRICS_NAME)
    step = rows[-1]["step"] if rows else None
    return int(step) if step is not None else -1


def _count(folder: Path) -> int:
    try:
        return len(list(folder.iterdir()))
    except OSError:  # it has its name by now, or is gone
        return -1
