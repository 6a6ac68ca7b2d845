"""SIGTERM, SIGINT and SIGUSR1 at a random moment: saved, out in time, nothing lost."""

from __future__ import annotations

import shutil
import signal
import time

from faults.bench import Bench, Row
from faults.laws import last_logged, same_end, whole_steps
from faults.moments import wait_for_a_moment
from faults.project import RUN, Project
from faults.trial import Seen, Trial, TrialFunction, last_line, no_traceback, require
from faults.undisturbed import Reference, undisturbed

# Much evaluation and sampling, so that a third of all moments fall into them.
_PROJECT = Project(
    num_bytes=1_000_000,
    data={"tokenizer": {"name": "bpe", "vocab_size": 400}, "val_fraction": 0.02},
    training={"eval_every": 10, "sample_tokens": 30},
)
_SHORT = Project(training={"eval_every": 10, "sample_tokens": 30})
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_MOST_SECONDS = 30.0
_TRIES = 5


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    reference = undisturbed(_SHORT if bench.short else _PROJECT, bench, shared)

    def run(trial: Trial) -> Seen:
        return _signalled(trial, reference)

    return run


def _signalled(trial: Trial, reference: Reference) -> Seen:
    project = reference.project
    project.write(trial.folder)
    run = trial.folder / RUN
    number = _SIGNALS[trial.number % len(_SIGNALS)]
    for _ in range(_TRIES):
        command = trial.start(*project.train())
        wait_for_a_moment(trial, command, reference)
        sent = time.monotonic()
        command.child.send(number)
        code = command.wait(_MOST_SECONDS)
        if code != 0:
            break
        shutil.rmtree(run)  # it ended before the signal came: again
    seconds = time.monotonic() - sent
    require(code == 128 + number, f"exit code {code} after {number.name}, not {128 + number}")
    no_traceback(command)
    words = last_line(command.message)
    goes_on = not 0 < last_logged(run) < project.max_steps or "--resume auto" in words
    require(number.name in words and goes_on, f"after {number.name} it says only: {words}")
    lost = last_logged(run) - max(whole_steps(run), default=0)
    require(lost <= 0, f"{lost} steps lost at {number.name}: logged {last_logged(run)}")
    trial.run(*project.train())
    same_end(run, reference.run, project.max_steps)
    return Seen(1, {"steps lost": lost, "s until it ended": seconds})


ROWS = (
    Row(
        "signal",
        "SIGTERM, SIGINT, SIGUSR1 at a random moment (preparation, steps, evaluation, sampling): exit code 128 + n"
        " within 30 s, no step lost, the run ends byte-equal",
        trials=105,
        short=3,
        prepare=_prepare,
    ),
)
