"""gptkit sweep: from a config and values to many runs, one table and one page.

space -> trials -> one process after another (gptkit train --resume auto) -> table, sweep.html

The same command goes on where it stopped: what decides the trials decides the folder's name.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptkit.atomic import write_text
from gptkit.config import dump_config, find_config, from_mapping, load_config
from gptkit.errors import ConfigError, Interrupted
from gptkit.pages import page
from gptkit.recipes.journal import say
from gptkit.recipes.sweep import sections
from gptkit.recipes.sweep.optuna_search import suggestions
from gptkit.recipes.sweep.space import Space, grid, is_varied, parse_space, random
from gptkit.recipes.sweep.trials import Result, Trial, read_trials, result, write_trials
from gptkit.recipes.train.check import check
from gptkit.runs import hold_run, make_run_dir, read_record, runs_folder, start_run
from gptkit.runtime.interrupt import Interrupt

SEARCHES = ("grid", "random", "optuna")
_POLL_SECONDS = 0.2


def run(
    name: str, settings: Sequence[str], *, search: str, num_trials: int | None, as_json: bool
) -> None:
    """Train every trial and print the table; trials that are done already are not trained again.

    Raises: ConfigError before anything is written; Interrupted, the running trial saved, when a signal came.
    """
    if search not in SEARCHES:
        raise ConfigError(f"--search {search}: must be {', '.join(SEARCHES)}")
    space = parse_space(settings)
    if not any(map(is_varied, space.values())):
        raise ConfigError("nothing is varied: give values, such as --set model.n_layer=2,4")
    if search == "grid" and num_trials is not None:
        search = "random"
    if search != "grid" and num_trials is None:
        raise ConfigError(f"--search {search} needs --trials N")
    path = find_config(name)
    planned = _planned(space, search, num_trials or 0)
    for trial_settings in planned or list(random(space, 1)):
        check(load_config(path, from_mapping(trial_settings)))
    folder = runs_folder() / f"{path.stem}-sweep-{_plan_hash(path, settings, search, num_trials)}"
    make_run_dir(folder)
    with hold_run(folder, warn=say):
        results = _train_all(path, folder, space, planned, num_trials or 0)
    target = folder / "sweep.html"
    write_text(target, page(f"{folder.name}: gptkit sweep", *sections.all_of(folder.name, results)))
    if as_json:
        print(json.dumps({"page": str(target), **_as_json(folder, results)}, ensure_ascii=False))
    else:
        print("\n".join([*sections.lines(results), str(target)]))


def _planned(space: Space, search: str, num_trials: int) -> list[dict[str, Any]] | None:
    """Return the settings of all trials; None where each depends on those before it."""
    if search == "grid":
        return grid(space)
    return list(random(space, num_trials)) if search == "random" else None


def _train_all(
    path: Path,
    folder: Path,
    space: Space,
    planned: list[dict[str, Any]] | None,
    num_trials: int,
) -> list[Result]:
    remembered = read_trials(folder)
    trials: list[Trial] = []
    results: list[Result] = []

    def losses() -> list[float | None]:
        return [one.loss for one in results]

    settings = iter(planned) if planned is not None else suggestions(space, num_trials, losses)
    count = len(planned) if planned is not None else num_trials
    varied = {key for key, values in space.items() if is_varied(values)}
    for number, one in enumerate(settings, start=1):
        before = remembered.get(number)
        trial = Trial(number, dict(one), before.exit_code if before else None)
        trials.append(trial)
        if not trial.is_done:
            changes = {key: value for key, value in trial.settings.items() if key in varied}
            say(f"{trial.name} of {count}: {sections.in_words(changes)}")
            trial.exit_code = _train(path, folder / trial.name, trial.settings)
            later = [other for at, other in remembered.items() if at > number]
            write_trials(folder, path.stem, [*trials, *later])
        found = result(folder, trial)
        results.append(found)
        loss = "no validation loss" if found.loss is None else f"validation loss {found.loss:.4f}"
        say(f"{trial.name}: {trial.status}, {loss}")
    return results


def _train(path: Path, run_dir: Path, settings: Mapping[str, Any]) -> int:
    """Train one trial in a process of its own and return its exit code.

    Raises: Interrupted when a signal came: the trial has saved then.
    """
    make_run_dir(run_dir)
    if not read_record(run_dir).sweep:
        start_run(run_dir, sweep=True)
    changes = [part for key, value in settings.items() for part in ("--set", _option(key, value))]
    command = [sys.executable, "-m", "gptkit", "train", str(path), *changes]
    command += ["--run-dir", str(run_dir), "--resume", "auto"]
    with Interrupt() as interrupt:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        complaint = _last_words(process, lambda: interrupt.signal_number)
        if interrupt.signal_number is not None:
            raise Interrupted(
                interrupt.signal_number,
                f"stopped by {signal.Signals(interrupt.signal_number).name}; the same command goes on",
            )
    if process.returncode:
        say(complaint)
    return process.returncode


def _last_words(process: subprocess.Popen[str], signal_number: Callable[[], int | None]) -> str:
    """Wait for a trial, pass a signal on to it, and return the end of what it said."""
    while True:
        try:
            _, said = process.communicate(timeout=_POLL_SECONDS)
            return "\n".join(said.strip().splitlines()[-3:])
        except subprocess.TimeoutExpired:
            number = signal_number()
            if number is not None and process.poll() is None:
                process.send_signal(number)
                _, said = process.communicate()
                return said


def _option(key: str, value: Any) -> str:
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def _plan_hash(path: Path, settings: Sequence[str], search: str, num_trials: int | None) -> str:
    plan = [dump_config(load_config(path)), sorted(settings), search, num_trials]
    return hashlib.sha256(json.dumps(plan).encode("utf-8")).hexdigest()[:6]


def _as_json(folder: Path, results: Sequence[Result]) -> dict[str, Any]:
    return {"sweep": str(folder), "trials": list(_trials_as_json(folder, results))}


def _trials_as_json(folder: Path, results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    for one in results:
        yield {
            "run": str(folder / one.trial.name),
            "settings": one.trial.settings,
            "status": one.trial.status,
            "val_loss": one.loss,
            "val_bits_per_byte": one.best.get("val_bits_per_byte"),
            "step": one.best.get("step"),
        }
