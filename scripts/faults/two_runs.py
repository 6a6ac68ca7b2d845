"""Two starts on one run folder: one of them trains, the other is told so."""

from __future__ import annotations

import json
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.bench import Bench, Row
from faults.laws import same_end
from faults.moments import lines_of, wait_until
from faults.project import CONFIG, RUN, Project
from faults.trial import Command, Seen, Trial, TrialFunction, no_traceback, require
from faults.undisturbed import Reference, undisturbed

_PROJECT = Project(training={"max_steps": 40})
_MOST_APART_SECONDS = 0.01
_IN_USE = 5


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    reference = undisturbed(_PROJECT, bench, shared)
    half = shared.folder / "half"
    _PROJECT.write(half)
    command = shared.start(*_PROJECT.train(), cwd=half, program=bench.warm)
    wait_until(command, lambda: lines_of(half / RUN) >= 6)
    command.child.send(signal.SIGKILL)
    command.wait()

    def run(trial: Trial) -> Seen:
        _PROJECT.write(trial.folder)
        kind = trial.number % 4
        if kind == 1:
            shutil.copytree(half, trial.folder, dirs_exist_ok=True)
        if kind == 3:
            return _one_held_up(trial, reference)
        return _together(trial, reference, resume=kind != 2)

    return run


def _together(trial: Trial, reference: Reference, *, resume: bool) -> Seen:
    """Start two within ten milliseconds; without --resume the folder may also just be refused."""
    argv = _PROJECT.train() if resume else ("train", CONFIG, "--run-dir", RUN)
    before = _starts(trial.folder / RUN)
    apart = trial.rng.uniform(0.0, _MOST_APART_SECONDS)

    def second() -> Command:
        time.sleep(apart)
        return trial.start(*argv)

    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(second)
        pair = [trial.start(*argv), later.result()]
    codes = sorted(command.wait() for command in pair)
    # On a busy machine the second may get to the lock when the first is done: complete, it says.
    allowed = ([0, _IN_USE], [0, 0] if resume else [0, 2])
    require(codes in allowed, f"exit codes {codes}")
    _one_proceeded(trial, pair, reference, before)
    return Seen(1, {"ms between the starts": 1000 * abs(pair[0].started - pair[1].started)})


def _one_held_up(trial: Trial, reference: Reference) -> Seen:
    """Hold the second up while it starts, until the first has ended: what it saw is no longer true."""
    first, second = trial.start(*_PROJECT.train()), trial.start(*_PROJECT.train())
    time.sleep(trial.rng.uniform(0.0, 0.3))
    second.child.send(signal.SIGSTOP)
    first.wait()
    second.child.send(signal.SIGCONT)
    pair = [first, second]
    codes = sorted(command.wait() for command in pair)
    # It may find the run complete, which is no reason to complain.
    require(codes in ([0, 0], [0, 2], [0, _IN_USE]), f"exit codes {codes}")
    _one_proceeded(trial, pair, reference, before=0)
    return Seen()


def _one_proceeded(trial: Trial, pair: list[Command], reference: Reference, before: int) -> None:
    for command in pair:
        no_traceback(command)
    run = trial.folder / RUN
    starts = _starts(run) - before
    require(starts == 1, f"{starts} of the two trained in the folder")
    same_end(run, reference.run, _PROJECT.max_steps)


def _starts(run: Path) -> int:
    """Return how often the run was started, by its own record."""
    path = run / "run.json"
    return len(json.loads(path.read_bytes())["starts"]) if path.exists() else 0


ROWS = (
    Row(
        "two_runs",
        "two starts on one folder within 10 ms, fresh or resuming, and one held up while the other trains: exactly one"
        " proceeds, the other ends with exit code 5, the run is that of one start",
        trials=200,
        short=4,
        prepare=_prepare,
    ),
)
