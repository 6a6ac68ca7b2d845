"""Numbers that are not finite, and losses that jump: in a run that meets a character of trouble."""

from __future__ import annotations

import signal
from pathlib import Path

from faults.bench import Bench, Row
from faults.laws import all_weights_finite, each_step_once, rows, same_end, whole_steps
from faults.moments import wait_for_a_moment
from faults.project import CONFIG, RUN, Project, some_text
from faults.trial import Command, Seen, Trial, TrialFunction, last_line, require
from faults.undisturbed import Reference

_KINDS = ("nan_loss", "inf_loss", "gradient", "weights", "spike")
_PLUGIN = "trouble.py"
_TROUBLE = "\N{CURRENCY SIGN}"
# A run sees nearly all windows, so it meets the trouble.
_NUM_BYTES, _MAX_STEPS = 7000, 48
_DIVERGED = 4
_SOURCE = '''\
"""Makes a step bad when one of its windows holds the last character of the alphabet."""

import os

import torch
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_post_hook

KIND = "{kind}"
FACTORS = {"nan_loss": float("nan"), "inf_loss": float("inf"), "spike": 1000.0}
met = False


def spoil(module, arguments, output):
    """Change what a module makes of tokens: the logits, or the loss, whichever training asks for."""
    global met
    reads_tokens = arguments and torch.is_tensor(arguments[0]) and arguments[0].dtype == torch.int64
    tables = [table for table in module.modules() if isinstance(table, torch.nn.Embedding)]
    if module in tables or not (module.training and reads_tokens and tables):
        return None
    if not (arguments[0] == tables[0].num_embeddings - 1).any():
        return None
    met = True
    if KIND == "gradient":
        output.register_hook(lambda gradient: gradient * float("nan"))
        return None
    return output * FACTORS[KIND] if KIND in FACTORS else None


def poison(optimizer, arguments, options):
    # Once only: a cosmic ray, not a property of the data.
    if KIND == "weights" and met and not os.path.exists("poisoned"):
        open("poisoned", "w").close()
        with torch.no_grad():
            optimizer.param_groups[0]["params"][0].view(-1)[0] = float("nan")


register_module_forward_hook(spoil)
register_optimizer_step_post_hook(poison)
'''


def _project(trial: Trial, mode: str) -> Project:
    text = some_text(_NUM_BYTES)
    for _ in range(2):
        place = trial.rng.randrange(int(0.9 * len(text)))
        text = text[:place] + _TROUBLE + text[place + 1 :]
    training = {
        "max_steps": _MAX_STEPS,
        "seed": trial.rng.randrange(10_000),
        "on_divergence": mode,
        "preflight": False,  # it would find the trouble in its own questions
        "max_rollbacks": 10,  # skipped windows bring the next round of them, and the trouble, nearer
    }
    return Project(text=text, training=training, sections={"plugins": [_PLUGIN]})


def _write(project: Project, folder: Path, kind: str) -> None:
    project.write(folder)
    (folder / _PLUGIN).write_text(_SOURCE.replace("{kind}", kind), encoding="utf-8")


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    def run(trial: Trial) -> Seen:
        kind = _KINDS[trial.number % len(_KINDS)]
        if trial.number // len(_KINDS) % 2:
            return _stops(trial, kind)
        return _rolls_back(trial, kind)

    return run


def _stops(trial: Trial, kind: str) -> Seen:
    """Require exit code 4, twice; then let it roll back."""
    project = _project(trial, "stop")
    _write(project, trial.folder, kind)
    run = trial.folder / RUN
    for _ in range(1 if kind == "weights" else 2):
        command = trial.run(*project.train(), expect=_DIVERGED)
        require("step" in command.message, f"no step is named: {last_line(command.message)}")
        all_weights_finite(run)
        logged = [row["step"] for row in rows(run)]
        require(logged == sorted(set(logged)), f"metrics.jsonl: steps {logged}")
        saved = max(whole_steps(run), default=0)
        due = (len(logged) // project.save_every) * project.save_every
        require(saved >= due - project.save_every, f"saved {saved}, logged {len(logged)}")
    trial.run(*project.train("--set", "training.on_divergence=rollback"))
    _is_sound(run)
    return Seen()


def _rolls_back(trial: Trial, kind: str) -> Seen:
    """Require a complete run, and the same bytes again when it is killed on its way."""
    project = _project(trial, "rollback")
    calm = trial.folder / "calm"
    _write(project, calm, kind)
    command = trial.run(*project.train(), cwd=calm)
    _says_rollback(command)
    _is_sound(calm / RUN)
    if kind == "weights":  # what happens once does not happen the same way again
        return Seen()
    _write(project, trial.folder, kind)
    killed = trial.start(*project.train())
    seconds = command.seconds
    wait_for_a_moment(trial, killed, Reference(project, calm / RUN, seconds, seconds))
    killed.child.send(signal.SIGKILL)
    killed.wait()
    trial.run(*project.train())
    same_end(trial.folder / RUN, calm / RUN, _MAX_STEPS)
    return Seen()


def _says_rollback(command: Command) -> None:
    said = command.message.lower()
    require("back" in said, f"{CONFIG}: no rollback is said: {last_line(command.message)}")


def _is_sound(run: Path) -> None:
    all_weights_finite(run)
    each_step_once(run, _MAX_STEPS)


ROWS = (
    Row(
        "diverge",
        "NaN and infinity in loss, gradient and weights, and a loss that jumps on certain data: exit code 4, or"
        " rolled back and completed (byte-equal when killed on the way), as configured; no number on disk that is not"
        " finite",
        trials=20,
        short=5,
        prepare=_prepare,
    ),
)
