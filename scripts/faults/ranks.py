"""Several processes for one run: one of them dies, or their number changes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from faults.bench import Bench, Row
from faults.laws import lost_steps, rows, same_end
from faults.moments import wait_for_a_moment, wait_until
from faults.processes import children_of, gone_within
from faults.program import Program
from faults.project import RUN, Project
from faults.trial import Command, Seen, Trial, TrialFunction, last_line, no_traceback, require
from faults.undisturbed import Reference

_PROJECT = Project(training={"max_steps": 40})
# Without an end in sight: neither the learning rate nor dropout depends on where a part of it stops.
_ENDLESS = Project(
    training={"micro_batch_size": 1, "eval_every": 1000, "keep_checkpoints": 3},
    sections={"schedule": {"name": "constant", "warmup_steps": 0}},
)
_OTHERS_END_SECONDS = 60.0
_TORCHRUN_GRACE_SECONDS = 30.0  # of its agent, which ends all ranks when one has died
_WORLD = 2
_CLOSE_ENOUGH = 1e-4


def _prepare_ranks_kill(bench: Bench, shared: Trial) -> TrialFunction:
    folder = shared.folder / "reference"
    _PROJECT.write(folder)
    if bench.short:
        commands = start_ranks(shared, bench.warm, _PROJECT.train(), cwd=folder)
    else:
        commands = [shared.start(*_PROJECT.train("--devices", "2"), cwd=folder, program=bench.cold)]
    _end_well(commands)
    seconds = commands[0].seconds
    # Of a cold start half is importing, here as two at a time.
    reference = Reference(_PROJECT, folder / RUN, seconds if bench.short else seconds / 2, seconds)

    def run(trial: Trial) -> Seen:
        _PROJECT.write(trial.folder)
        # A third is started and ended as torchrun does; a third loses it; a third loses a rank below it.
        if trial.number % 3 == 1:
            ended = _kill_one_of(trial, reference)
            resumed = start_ranks(trial, bench.warm, _PROJECT.train())
        else:
            trial.program, trial.cold = bench.cold, True
            ended = _kill_below_launcher(trial, reference, launcher=trial.number % 3 == 0)
            resumed = [trial.start(*_PROJECT.train("--devices", "2"))]
        lost = lost_steps(trial.folder / RUN, _PROJECT.save_every)
        _end_well(resumed)
        same_end(trial.folder / RUN, reference.run, _PROJECT.max_steps)
        return Seen(1, {"s until the others ended": ended, "steps lost": lost})

    return run


def start_ranks(
    trial: Trial, program: Program, argv: Sequence[str], *, cwd: Path | None = None
) -> list[Command]:
    """Start two ranks of a run without gptkit's launcher, with torchrun's variables."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    place = {"WORLD_SIZE": str(_WORLD), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        trial.start(
            *argv,
            program=program,
            cwd=cwd,
            environment={**place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(_WORLD)
    ]


def _end_well(commands: Sequence[Command]) -> None:
    codes = [command.wait() for command in commands]
    require(not any(codes), f"exit codes {codes}: {last_line(commands[0].message)}")


def _kill_one_of(trial: Trial, reference: Reference) -> float:
    ranks = start_ranks(trial, trial.program, _PROJECT.train())
    wait_for_a_moment(trial, ranks[0], reference)
    victim = trial.rng.randrange(_WORLD)
    ranks[victim].child.send(signal.SIGKILL)
    return _end_as_torchrun_does(ranks[1 - victim])


def _end_as_torchrun_does(rank: Command) -> float:
    """End a rank that lost another; return the seconds it took.

    The rank itself may wait for ever: before they have met, for one that never comes; and gloo, about
    once in a hundred times, does not notice that the other closed its connection.
    """
    begun = time.monotonic()
    rank.child.send(signal.SIGTERM)
    try:
        rank.child.wait(_TORCHRUN_GRACE_SECONDS)
    except TimeoutError:
        rank.child.send(signal.SIGKILL)
    rank.wait(_OTHERS_END_SECONDS)
    return time.monotonic() - begun


def _kill_below_launcher(trial: Trial, reference: Reference, *, launcher: bool) -> float:
    """Kill the launcher, or one of its ranks; return the seconds until all others were gone."""
    command = trial.start(*_PROJECT.train("--devices", "2"))
    wait_until(command, lambda: len(children_of(command.child.pid)) == _WORLD)
    ranks = children_of(command.child.pid)
    wait_for_a_moment(trial, command, reference)
    begun = time.monotonic()
    if launcher:
        command.child.send(signal.SIGKILL)
    elif ranks:
        with contextlib.suppress(ProcessLookupError):  # the run was faster
            os.kill(trial.rng.choice(ranks), signal.SIGKILL)
    try:
        gone_within(ranks, _OTHERS_END_SECONDS)
    except TimeoutError:
        who = "launcher" if launcher else "a rank"
        require(False, f"{who} was killed, and after {_OTHERS_END_SECONDS:.0f} s a rank still ran")
    code = command.wait(_OTHERS_END_SECONDS)
    no_traceback(command)
    require(code in (0, 128 + signal.SIGKILL), f"exit code {code}, not that of SIGKILL")
    return time.monotonic() - begun


def _prepare_elastic(bench: Bench, shared: Trial) -> TrialFunction:
    folder = shared.folder / "one-rank"
    _ENDLESS.write(folder)
    shared.run(*_ENDLESS.train(), cwd=folder, program=bench.warm)
    alone = [row["train_loss"] for row in rows(folder / RUN)]

    def run(trial: Trial) -> Seen:
        _ENDLESS.write(trial.folder)
        last = _ENDLESS.max_steps
        stops = [*sorted(trial.rng.sample(range(2, last - 1), 3)), last]
        if bench.short:
            _end_well(start_ranks(trial, bench.warm, _ENDLESS.train("--extend-to", f"{stops[2]}")))
            return _on_several(trial, [last], [1], alone)
        trial.program, trial.cold = bench.cold, True
        return _on_several(trial, stops, (1, 2, 4, 1), alone)

    return run


def _on_several(
    trial: Trial, stops: Sequence[int], devices: Sequence[int], alone: Sequence[float]
) -> Seen:
    """Train to each stop on that many ranks; the losses must be those of one rank."""
    for stop, number in zip(stops, devices, strict=True):
        trial.run(*_ENDLESS.train("--extend-to", str(stop), "--devices", str(number)))
    losses = {int(row["step"]): row["train_loss"] for row in rows(trial.folder / RUN)}
    require(sorted(losses) == list(range(1, len(alone) + 1)), f"steps {sorted(losses)} were logged")
    differences = [abs(losses[step] - loss) / abs(loss) for step, loss in enumerate(alone, start=1)]
    worst = max(differences)
    require(
        worst <= _CLOSE_ENOUGH,
        f"step {differences.index(worst) + 1}: the loss differs by {worst:.1e} of itself from one rank's;"
        f" {list(devices)} ranks up to {list(stops)}",
    )
    return Seen(1, {"largest relative difference of a loss": worst})


ROWS = (
    Row(
        "ranks_kill",
        "one of two ranks or their launcher killed: the others end within 60 s, the resumed run ends byte-equal",
        trials=60,
        short=3,
        prepare=_prepare_ranks_kill,
        cold_every=0,
    ),
    Row(
        "elastic",
        "1, then 2, 4 and 1 ranks: each step once, its loss within 1e-4 of that of one rank",
        trials=6,
        short=1,
        prepare=_prepare_elastic,
        cold_every=0,
    ),
)
