"""Kills of a deterministic run on a GPU."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

from faults.bench import Bench, Row
from faults.kills import SHORT_PREPARATION, killed_at_random
from faults.trial import Seen, Trial, TrialFunction
from faults.undisturbed import undisturbed

_PROJECT = dataclasses.replace(
    SHORT_PREPARATION,
    sections={"runtime": {"device": "cuda", "dtype": "bfloat16", "deterministic": True}},
)


def _not_run(bench: Bench) -> str:
    if bench.device != "cuda":
        return "no GPU (--device cuda)"
    # Asked elsewhere: a process that has talked to the driver cannot fork.
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    found = subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    return "" if found else "no GPU is found"


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    reference = undisturbed(_PROJECT, bench, shared)

    def run(trial: Trial) -> Seen:
        return killed_at_random(trial, reference)

    return run


ROWS = (
    Row(
        "cuda_kill",
        "SIGKILL at a random moment of a deterministic run on a GPU: as in `kill`",
        trials=20,
        short=1,
        prepare=_prepare,
        not_run=_not_run,
    ),
)
