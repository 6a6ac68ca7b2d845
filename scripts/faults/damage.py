"""Damage to what lies on the disk: flipped bits, broken files, and no good checkpoint left."""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from random import Random

from faults.bench import Bench, Row
from faults.damage_kinds import KINDS, truncated, zeroed_page
from faults.laws import last_logged, same_end, whole_steps
from faults.moments import lines_of, wait_until
from faults.program import Program
from faults.project import RUN, Project
from faults.trial import Seen, Trial, TrialFunction, require
from faults.undisturbed import undisturbed

_PROJECT = Project(training={"max_steps": 60, "keep_checkpoints": 3})
_STOPPED_AT = 42
# Most trials only ask whether the damage is noticed; one of so many trains on to the end.
_TRAINED_EVERY = 20


@dataclass(frozen=True)
class _Stopped:
    """A run that still has steps to do, and the end that it is to reach."""

    folder: Path
    reference: Path
    warm: Program
    """What trains on; the trials themselves need no torch."""

    def copy_to(self, trial: Trial) -> Path:
        shutil.copytree(self.folder, trial.folder, dirs_exist_ok=True)
        return trial.folder / RUN


def _stopped(bench: Bench, shared: Trial) -> _Stopped:
    reference = undisturbed(_PROJECT, bench, shared)
    folder = shared.folder / "stopped"
    _PROJECT.write(folder)
    command = shared.start(*_PROJECT.train(), cwd=folder, program=bench.warm)
    wait_until(command, lambda: lines_of(folder / RUN) >= _STOPPED_AT)
    command.child.send(signal.SIGTERM)
    require(command.wait() == 128 + signal.SIGTERM, "the run to damage ended before its signal")
    require(len(whole_steps(folder / RUN)) >= 2, "the run to damage has no two checkpoints")
    return _Stopped(folder, reference.run, bench.warm)


def _noticed(trial: Trial, stopped: _Stopped, damaged: Path, words: str) -> Seen:
    """Require that damage is noticed and named; at times, that the run goes on from another checkpoint."""
    run = trial.folder / RUN
    command = trial.start("checkpoint", "verify", RUN)
    code = command.wait()
    require(code == 3, f"{words}: not noticed: checkpoint verify ended with {code}")
    require(damaged.name in command.message, f"{words}: {damaged.name} is not named")
    if trial.number % _TRAINED_EVERY == 1:
        left = whole_steps(run)
        program = trial.program if trial.cold else stopped.warm
        resumed = trial.run(*_PROJECT.train(), program=program)
        if not left or int(damaged.name.removeprefix("step_")) > max(left):
            require(damaged.name in resumed.message, f"{words}: the fallback is not said")
        same_end(run, stopped.reference, _PROJECT.max_steps)
    return Seen()


def _prepare_flip(bench: Bench, shared: Trial) -> TrialFunction:
    stopped = _stopped(bench, shared)

    def run(trial: Trial) -> Seen:
        checkpoint = _a_checkpoint(stopped.copy_to(trial), trial.rng)
        path = _a_file(checkpoint, trial.rng)
        content = bytearray(path.read_bytes())
        bits = trial.rng.sample(range(8 * len(content)), trial.rng.choice([1, 1, 1, 2, 8]))
        for bit in bits:
            content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        return _noticed(trial, stopped, checkpoint, f"bits {bits} of {path.name}")

    return run


def _a_checkpoint(run: Path, rng: Random) -> Path:
    """Return the newest checkpoint, sometimes another."""
    checkpoints = sorted((run / "checkpoints").glob("step_*"))
    return checkpoints[-1] if rng.random() < 0.7 else rng.choice(checkpoints)


def _a_file(checkpoint: Path, rng: Random) -> Path:
    return rng.choice(sorted(path for path in checkpoint.rglob("*") if path.is_file()))


def _prepare_damage(bench: Bench, shared: Trial) -> TrialFunction:
    stopped = _stopped(bench, shared)

    def run(trial: Trial) -> Seen:
        kind = KINDS[trial.number % len(KINDS)]
        checkpoint = _a_checkpoint(stopped.copy_to(trial), trial.rng)
        path = _a_file(checkpoint, trial.rng)
        before = path.read_bytes()
        kind(path, trial.rng)
        if kind is zeroed_page and path.read_bytes() == before:  # it held zeros
            kind = truncated
            kind(path, trial.rng)
        return _noticed(trial, stopped, checkpoint, f"{kind.__name__} {path.name}")

    return run


def _prepare_all_bad(bench: Bench, shared: Trial) -> TrialFunction:
    stopped = _stopped(bench, shared)

    def run(trial: Trial) -> Seen:
        folder = stopped.copy_to(trial)
        logged = last_logged(folder)
        checkpoints = sorted((folder / "checkpoints").glob("step_*"))
        for checkpoint in checkpoints:
            trial.rng.choice(KINDS[:5])(_a_file(checkpoint, trial.rng), trial.rng)
        first = trial.run(*_PROJECT.train(), expect=3)
        for checkpoint in checkpoints:
            require(checkpoint.name in first.message, f"{checkpoint.name}: no reason is given")
        again = trial.run(*_PROJECT.train(), expect=3)
        require("step_" in again.message, "the second start names no checkpoint")
        require(not whole_steps(folder), "a checkpoint appeared")
        require(lines_of(folder) == logged, "the metrics were touched")
        return Seen()

    return run


ROWS = (
    Row(
        "flip",
        "random bits flipped in any file of a checkpoint, MANIFEST.json included: noticed and named, the run falls"
        " back to another checkpoint and ends byte-equal (trained on in one trial of 20)",
        trials=2000,
        short=4,
        prepare=_prepare_flip,
        cold_every=200,
        light=True,
    ),
    Row(
        "damage",
        "files truncated, emptied, missing, too long, swapped, of another step, a page of zeros, a changed manifest, a"
        " folder under another name: noticed as well",
        trials=1000,
        short=10,
        prepare=_prepare_damage,
        cold_every=200,
        light=True,
    ),
    Row(
        "all_bad",
        "every checkpoint damaged: exit code 3 with the reasons, now and at the next start; nothing starts afresh",
        trials=10,
        short=1,
        prepare=_prepare_all_bad,
    ),
)
