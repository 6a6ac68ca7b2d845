"""Running rows: each trial in a folder of its own, a few at a time, failures kept."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from threading import Lock

from faults.program import ColdProgram, Program
from faults.report import FailedTrial, RowResult
from faults.trial import BrokenError, Seen, Trial, TrialFunction
from faults.warm import WarmProgram


@dataclass
class Bench:
    """Where trials run, and with what."""

    work: Path
    """Folder for the trials; those that kept the laws are removed."""
    failed: Path
    """Folder that keeps the others."""
    seed: int = 0
    jobs: int = 2
    short: bool = False
    device: str = "cpu"
    stack: ExitStack = field(default_factory=ExitStack)
    cold: Program = field(default_factory=ColdProgram)

    @cached_property
    def warm(self) -> Program:
        """Forks from a process that has imported torch."""
        return self.stack.enter_context(closing(WarmProgram()))

    @cached_property
    def light(self) -> Program:
        """Forks from a process that has imported what a check of a config needs."""
        return self.stack.enter_context(closing(WarmProgram(light=True)))

    def trial(self, row: str, number: int, *, cold: bool = False, light: bool = False) -> Trial:
        """Return a trial with an empty folder; its chance follows from seed, row and number."""
        folder = self.work / row / f"{number:04d}"
        folder.mkdir(parents=True)
        program = self.cold if cold else self.light if light else self.warm
        return Trial(number, folder, Random(f"{self.seed}/{row}/{number}"), program, cold)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    law: str
    """What must hold, in words."""
    trials: int
    """In the long form."""
    short: int
    """In the short form."""
    prepare: Callable[[Bench, Trial], TrialFunction]
    """Make what the trials share, in the folder of the trial 0, and return what runs one of them."""
    cold_every: int = 10
    """One trial of so many starts python anew for its commands; 0: none."""
    light: bool = False
    """Whether the commands need no torch."""
    not_run: Callable[[Bench], str] = lambda bench: ""
    """Return why it cannot be run here; nothing where it can."""


def run_row(
    row: Row, bench: Bench, numbers: Sequence[int] = (), say: Callable[[str], None] = print
) -> RowResult:
    """Run the trials of a row, or those with these numbers, and return what was seen."""
    result = RowResult(row.name, row.law, not_run=row.not_run(bench))
    if result.not_run:
        return result
    begun = time.monotonic()
    shared = bench.trial(row.name, 0)
    chosen = numbers or range(1, 1 + (row.short if bench.short else row.trials))
    try:
        function = row.prepare(bench, shared)
    except Exception as error:
        _failed(result, bench, row, shared, error, say)
        chosen = ()

    lock = Lock()

    def run(number: int) -> None:
        cold = row.cold_every > 0 and number % row.cold_every == 0
        trial = bench.trial(row.name, number, cold=cold, light=row.light)
        seen: Seen | Exception
        try:
            seen = function(trial)
        except Exception as error:
            seen = error
        trial.end()
        with lock:
            if isinstance(seen, Seen):
                _seen(result, seen)
            else:
                _failed(result, bench, row, trial, seen, say)
            _count_commands(result, trial)
            result.trials += 1
            if result.trials % max(1, len(chosen) // 4) == 0:
                done = f"{result.trials} of {len(chosen)}, {len(result.failures)} failed"
                say(f"  {row.name}: {done}, {time.monotonic() - begun:.0f} s")
        shutil.rmtree(trial.folder, ignore_errors=True)

    with ThreadPoolExecutor(bench.jobs) as pool:
        list(pool.map(run, chosen))
    _count_commands(result, shared)
    shutil.rmtree(bench.work / row.name, ignore_errors=True)
    result.seconds = round(time.monotonic() - begun, 1)
    return result


def _seen(result: RowResult, seen: Seen) -> None:
    result.faults += seen.faults
    for name, value in seen.worst.items():
        result.worst[name] = max(value, result.worst.get(name, value))


def _failed(
    result: RowResult,
    bench: Bench,
    row: Row,
    trial: Trial,
    error: Exception,
    say: Callable[[str], None],
) -> None:
    words = str(error)
    if not isinstance(error, BrokenError):  # of this script, most likely: show where
        words = "".join(traceback.format_exception(error))
    kept = bench.failed / f"{row.name}-{trial.number}"
    shutil.rmtree(kept, ignore_errors=True)
    with suppress(shutil.Error):  # a trial may hold what cannot be copied, such as a pipe
        shutil.copytree(trial.folder, kept, symlinks=True)
    result.failures.append(FailedTrial(trial.number, words, str(kept), trial.record()))
    result.faults += 1
    say(f"  FAILED {row.name}:{trial.number}: {words}\n{trial.record()}")


def _count_commands(result: RowResult, trial: Trial) -> None:
    cold = sum(command.cold for command in trial.commands)
    result.cold += cold
    result.warm += len(trial.commands) - cold
