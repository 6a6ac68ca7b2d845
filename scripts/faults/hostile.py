"""Checkpoints made to do harm, each with a manifest that fits: whoever makes one can hash, too."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from faults.bench import Bench, Row
from faults.hostile_cases import CANARY, CASES, Case, seal
from faults.laws import whole_steps
from faults.moments import lines_of, wait_until
from faults.project import RUN, Project
from faults.trial import Seen, Trial, TrialFunction, require

_PROJECT = Project()
_ALIVE = "the canary sings\n"
_MOST_SECONDS = 20.0
_REFUSED = (2, 3)


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    folder = shared.folder / "stopped"
    _PROJECT.write(folder)
    command = shared.start(*_PROJECT.train(), cwd=folder, program=bench.warm)
    wait_until(command, lambda: lines_of(folder / RUN) >= 10)
    command.child.send(signal.SIGTERM)
    command.wait()
    newest = max(whole_steps(folder / RUN))
    for checkpoint in (folder / RUN / "checkpoints").glob("step_*"):
        if checkpoint.name != f"step_{newest:08d}":
            shutil.rmtree(checkpoint)

    def run(trial: Trial) -> Seen:
        case = CASES[(trial.number - 1) % len(CASES)]
        for command in ("sample", "train"):
            _refused(trial, case, command, folder)
        return Seen()

    return run


def _refused(trial: Trial, case: Case, command: str, stopped: Path) -> None:
    """Require that a command refuses the checkpoint, or at least does no harm where it need not read it."""
    folder = trial.folder / command
    shutil.copytree(stopped, folder)
    (checkpoint,) = (folder / RUN / "checkpoints").glob("step_*")
    case.change(checkpoint)
    if case.seal:
        seal(checkpoint)
    (folder / CANARY).write_text(_ALIVE, encoding="utf-8")
    argv = _PROJECT.train() if command == "train" else ("sample", RUN, "--max-new-tokens", "3")
    started = trial.start(*argv, cwd=folder)
    code = started.wait(_MOST_SECONDS)
    require((folder / CANARY).read_text(encoding="utf-8") == _ALIVE, f"{case.name}: it ran")
    if command in case.reads:
        require(code in _REFUSED, f"{case.name}: {command} ended with {code}")
    require("Traceback" not in started.message, f"{case.name}: {command}: a traceback")
    require(len(started.message) < 5000, f"{case.name}: a message of {len(started.message)}")


ROWS = (
    Row(
        "hostile",
        "pickles, huge headers, names that lead out of the folder, NaN as a size, deep JSON, links, plugins, each with"
        " a manifest that fits: refused with exit code 2 or 3 in under 20 s, a canary file untouched",
        trials=len(CASES),
        short=3,
        prepare=_prepare,
    ),
)
