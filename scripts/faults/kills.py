"""SIGKILL: at a random moment of a run, and between any two file operations of saving."""

from __future__ import annotations

import signal
from pathlib import Path

from faults.bench import Bench, Row
from faults.instrument import Instrument
from faults.laws import lost_steps, same_end, whole_steps
from faults.moments import wait_for_a_moment
from faults.processes import children_of, gone_within
from faults.project import RUN, Project
from faults.trial import Seen, Trial, TrialFunction, require
from faults.undisturbed import Reference, undisturbed

# Two million bytes and a trained tokenizer: preparation is a third of such a run.
LONG_PREPARATION = Project(
    num_bytes=2_000_000,
    data={"tokenizer": {"name": "bpe", "vocab_size": 400}, "val_fraction": 0.002},
    training={"sample_tokens": 24},
)
SHORT_PREPARATION = Project(training={"sample_tokens": 24})
_SAVING = Project(training={"max_steps": 24, "eval_every": 8, "keep_checkpoints": 2})
_MOST_KILLS = 3
_SAVE_KILLS, _SHORT_SAVE_KILLS = 24 * 8, 3
_ORPHANS_END_SECONDS = 10.0


def _prepare_kill(bench: Bench, shared: Trial) -> TrialFunction:
    project = SHORT_PREPARATION if bench.short else LONG_PREPARATION
    reference = undisturbed(project, bench, shared)

    def run(trial: Trial) -> Seen:
        return killed_at_random(trial, reference)

    return run


def killed_at_random(trial: Trial, reference: Reference) -> Seen:
    """Kill a run up to three times, each time at a random moment, then let it end."""
    project = reference.project
    project.write(trial.folder)
    run = trial.folder / RUN
    kills, most_lost = 0, 0
    for _ in range(trial.rng.randint(1, _MOST_KILLS)):
        command = trial.start(*project.train())
        wait_for_a_moment(trial, command, reference)
        workers = children_of(command.child.pid)
        command.child.send(signal.SIGKILL)
        if command.wait() == 0:  # it was faster
            break
        kills += 1
        try:
            gone_within(workers, _ORPHANS_END_SECONDS)
        except TimeoutError:
            require(False, f"child processes {workers} outlived their parent")
        most_lost = max(most_lost, lost_steps(run, project.save_every))
    trial.run(*project.train())
    same_end(run, reference.run, project.max_steps)
    return Seen(kills, {"steps lost": most_lost})


def _prepare_save_kill(bench: Bench, shared: Trial) -> TrialFunction:
    reference = undisturbed(_SAVING, bench, shared)
    operations = {obstruct: _count(shared, bench, obstruct=obstruct) for obstruct in (False, True)}
    trials = _SHORT_SAVE_KILLS if bench.short else _SAVE_KILLS

    def run(trial: Trial) -> Seen:
        # Two of three meet undisturbed folders, one has to replace what is in its way.
        obstruct = trial.number % 3 == 0
        count = operations[obstruct]
        return _killed_while_saving(
            trial, reference, 1 + (trial.number - 1) * count // trials % count, obstruct=obstruct
        )

    return run


def _instrument(folder: Path, kill_at: int | None, *, obstruct: bool) -> Instrument:
    checkpoints, log = str(folder / RUN / "checkpoints"), str(folder / "operations.txt")
    return Instrument(checkpoints, log, kill_at, obstruct)


def _count(shared: Trial, bench: Bench, *, obstruct: bool) -> int:
    """Return how many operations on files a run makes below checkpoints/."""
    folder = shared.folder / f"count-{obstruct}"
    _SAVING.write(folder)
    instrument = _instrument(folder, None, obstruct=obstruct)
    shared.run(*_SAVING.train(), cwd=folder, instrument=instrument, program=bench.warm)
    return (folder / "operations.txt").read_bytes().count(b"\n")


def _killed_while_saving(
    trial: Trial, reference: Reference, kill_at: int, *, obstruct: bool
) -> Seen:
    project = reference.project
    project.write(trial.folder)
    run = trial.folder / RUN
    instrument = _instrument(trial.folder, kill_at, obstruct=obstruct)
    command = trial.start(*project.train(), instrument=instrument)
    code = command.wait()
    require(code in (0, 128 + signal.SIGKILL), f"exit code {code}, not that of SIGKILL")
    lost = lost_steps(run, project.save_every)
    trial.run(*project.train())
    same_end(run, reference.run, project.max_steps)
    if not obstruct:
        kept = whole_steps(reference.run)
        require(whole_steps(run) == kept, f"kept {whole_steps(run)}, not {kept}")
    return Seen(int(code != 0), {"steps lost": lost})


ROWS = (
    Row(
        "kill",
        "SIGKILL at a random moment, preparation included: the run ends byte-equal, every step logged once,"
        " at most one save interval lost (two where a save was being written), no child process left behind",
        trials=120,
        short=2,
        prepare=_prepare_kill,
    ),
    Row(
        "save_kill",
        "SIGKILL before any operation on files that saving and retention make (a third of the trials with a folder in"
        " the way): always a whole checkpoint, the run ends byte-equal, nothing is left over",
        trials=_SAVE_KILLS,
        short=_SHORT_SAVE_KILLS,
        prepare=_prepare_save_kill,
    ),
)
