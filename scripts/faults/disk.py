"""A disk that fills up: a small file system in memory where mounting is allowed, a limit elsewhere."""

from __future__ import annotations

from pathlib import Path

from faults.bench import Bench, Row
from faults.laws import last_logged, rows, same_end, whole_steps
from faults.moments import lines_of, wait_until
from faults.project import RUN, Project
from faults.small_disk import SmallDisk, can_mount, small_disk
from faults.trial import Command, Seen, Trial, TrialFunction, last_line, no_traceback, require
from faults.undisturbed import Reference, undisturbed

_PROJECT = Project()
_MUCH_TEXT = Project(num_bytes=400_000, training={"max_steps": 8}, data={"val_fraction": 0.01})
_LEAST_LIMIT = 64_000
# Words that tell what is wrong; a limit on file sizes says "too large".
_SAYS_WHY = ("space", "full", "too large", "free")


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    long = undisturbed(_PROJECT, bench, shared)
    much = undisturbed(_MUCH_TEXT, bench, shared, name="much-text")
    if not can_mount(shared.folder / "disk"):
        return lambda trial: _limited(trial, long if trial.number % 2 else much)
    kinds = (_while_training, _while_preparing, _at_the_start)

    def run(trial: Trial) -> Seen:
        kind = kinds[trial.number % len(kinds)]
        with small_disk(trial) as disk:
            return kind(trial, disk, much if kind is _while_preparing else long)

    return run


def _while_training(trial: Trial, disk: SmallDisk, reference: Reference) -> Seen:
    """Fill the disk at a random step, so that saving or logging fails; at times free it again soon."""
    project, rng = reference.project, trial.rng
    project.write(disk.path)
    run = disk.path / RUN
    command = trial.start(*project.train(), cwd=disk.path)
    step = rng.randint(1, project.max_steps - 10)
    wait_until(command, lambda: lines_of(run) >= step)
    before = whole_steps(run)
    disk.fill(rng.choice([0, 0, rng.randint(0, 400_000)]))
    freed = rng.random() < 0.3
    if freed:
        wait_until(command, lambda: False, seconds=rng.uniform(0.0, 0.2))
        disk.free()
    code = command.wait()
    no_traceback(command)
    require(code in (0, 1), f"exit code {code} on a full disk: {last_line(command.message)}")
    require(code == 0 or _says_why(command), f"it does not say why: {last_line(command.message)}")
    after = max(whole_steps(run), default=0)
    require(after >= max(before, default=0), f"step {max(before, default=0)} is gone: {after}")
    not_saved = max(0, last_logged(run) - after)
    if not freed:
        disk.free()
    _goes_on(trial, disk.path, reference)
    return Seen(1, {"steps lost": not_saved})


def _while_preparing(trial: Trial, disk: SmallDisk, reference: Reference) -> Seen:
    project = reference.project
    project.write(disk.path)
    disk.fill(trial.rng.randint(0, 700_000))
    command = trial.start(*project.train(), cwd=disk.path)
    code = command.wait()
    no_traceback(command)
    require(code in (1, 2), f"exit code {code} without space: {last_line(command.message)}")
    require(_says_why(command), f"it does not say why: {last_line(command.message)}")
    disk.free()
    _goes_on(trial, disk.path, reference)
    return Seen()


def _at_the_start(trial: Trial, disk: SmallDisk, reference: Reference) -> Seen:
    """Go on with a stopped run on a disk that is full."""
    project = reference.project
    project.write(disk.path)
    run = disk.path / RUN
    command = trial.start(*project.train(), cwd=disk.path)
    step = trial.rng.randint(1, project.max_steps - 10)
    wait_until(command, lambda: lines_of(run) >= step)
    trial.end()
    command.wait()
    before = whole_steps(run)
    disk.fill(trial.rng.choice([0, trial.rng.randint(0, 20_000)]))
    again = trial.start(*project.train(), cwd=disk.path)
    code = again.wait()
    no_traceback(again)
    require(code in (0, 1, 2), f"exit code {code} on a full disk: {last_line(again.message)}")
    require(code == 0 or _says_why(again), f"it does not say why: {last_line(again.message)}")
    require(max(whole_steps(run), default=0) >= max(before, default=0), "a checkpoint is gone")
    disk.free()
    _goes_on(trial, disk.path, reference)
    return Seen()


def _limited(trial: Trial, reference: Reference) -> Seen:
    """Let no file grow beyond a limit that a checkpoint, or the tokens, do not keep."""
    project = reference.project
    project.write(trial.folder)
    limit = trial.rng.randint(_LEAST_LIMIT, 2 * _LEAST_LIMIT)
    command = trial.start(*project.train(), file_size_limit=limit)
    code = command.wait()
    no_traceback(command)
    require(code in (1, 2) and _says_why(command), f"{code}: {last_line(command.message)}")
    _goes_on(trial, trial.folder, reference)
    return Seen()


def _goes_on(trial: Trial, folder: Path, reference: Reference) -> None:
    """Require that the run ends byte-equal once there is space; lines of metrics may be lost."""
    trial.run(*reference.project.train(), cwd=folder)
    steps = [row["step"] for row in rows(folder / RUN)]
    require(steps == sorted(set(steps)), f"metrics.jsonl: steps {steps}")
    same_end(folder / RUN, reference.run, reference.project.max_steps, metrics=False)


def _says_why(command: Command) -> bool:
    return any(word in command.message.lower() for word in _SAYS_WHY)


ROWS = (
    Row(
        "disk_full",
        "no space left while saving, logging, preparing or starting again: the checkpoints that were there stay, the"
        " message says why, and once there is space the run ends byte-equal",
        trials=100,
        short=3,
        prepare=_prepare,
    ),
)
