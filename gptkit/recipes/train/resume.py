"""Where a run goes on: which folder, which checkpoint, and what has changed in the settings since."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptkit.atomic import remove_unfinished
from gptkit.checkpoint import (
    abandon_newer,
    newest_usable,
    newest_verified,
    point,
    pointed,
    saved_step,
    step_name,
)
from gptkit.checkpoint.folder import remove_strays
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import load_state
from gptkit.config import RunConfig
from gptkit.dial import keep_choices
from gptkit.errors import CheckpointError, ConfigError
from gptkit.recipes.trust import trusted_config
from gptkit.runs import holds_run, is_checkpoint, list_runs, resolve, run_of
from gptkit.training.progress import Progress

# What a resumed run may not change: its weights, its tokens or its optimizer's state would mean something else.
_FIXED = (
    "model.",
    "data.tokenizer.",
    "data.val_fraction",
    "data.test_fraction",
    "objective.name",
    "optimizer.name",
    "adapter.",
    "freeze",
)
# Beginnings and habits of training; the weights fit all the same.
_FREE_OF_MODEL = ("model.dropout", "model.activation_checkpointing", "model.init_from")


@dataclass(frozen=True)
class Resumed:
    """A run to go on with."""

    run_dir: Path
    checkpoint: Path
    config: RunConfig
    """The settings it was made with, without any `auto`."""
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """What `--resume` names: a run, and the checkpoint to go on from where that is not the newest."""

    run_dir: Path
    checkpoint: Path | None = None


def find_target(resume: str | None, config: RunConfig, name: str) -> Target | None:
    """Return the run that `--resume` means; None: start a new one.

    resume: "auto" means the run in `config.run_dir`, else the newest run called `name`, `name`-2, ...; a path means the
    run, or the checkpoint, there.

    Raises: ConfigError when a path is no run; CheckpointError when its checkpoint is damaged.
    """
    if resume is None:
        return None
    if resume == "auto":
        run_dir = config.run_dir or _newest_called(name)
        return Target(run_dir) if run_dir is not None and holds_run(run_dir) else None
    path = Path(resume)
    run_dir = run_of(path) if is_checkpoint(path) else None
    if run_dir is not None:
        return Target(run_dir, resolve(path))
    if not holds_run(path):
        raise ConfigError(f"--resume {resume}: there is no run in '{path}'")
    return Target(path)


def read_target(target: Target, *, is_main: bool, say: Callable[[str], None]) -> Resumed | None:
    """Return the run as its checkpoint left it; None when it never wrote one.

    is_main: whether this rank, which holds the run's lock, puts aside
    checkpoints that are damaged, or later than the one to go on from.

    Raises: CheckpointError when checkpoints exist and none is usable.
    """
    if target.checkpoint is not None:
        resumed = _resumed_at(target.checkpoint)
        if is_main:
            _go_back(resumed, say)
        return resumed
    found = newest_usable(target.run_dir) if is_main else newest_verified(target.run_dir)
    if found is None:
        return None
    for note in found.notes:
        say(note)
    resumed = _resumed_at(found.folder)
    if is_main:
        _finish_saving(resumed)
    return resumed


def adopt(config: RunConfig, resumed: Resumed, world_size: int) -> RunConfig:
    """Return `config` with what `auto` and the dial chose for the run that is resumed."""
    config = keep_choices(config, resumed.config)
    before, runtime = resumed.config.runtime, config.runtime
    chosen = {
        key: getattr(before, key)
        for key in ("device", "dtype", "compile")
        if getattr(runtime, key) == "auto"
    }
    training = config.training
    if training.micro_batch_size is None and resumed.state.get("world_size") == world_size:
        size = resumed.config.training.micro_batch_size
        if size is not None and training.batch_size == resumed.config.training.batch_size:
            training = training.model_copy(update={"micro_batch_size": size})
    return config.model_copy(
        update={
            "runtime": runtime.model_copy(update=chosen),
            "training": training,
        }
    )


def changes(config: RunConfig, resumed: Resumed) -> list[str]:
    """Return what differs from the run's settings, each as "key: old -> new".

    Raises: ConfigError when something differs that a resumed run cannot change.
    """
    old, new = _flat(resumed.config), _flat(config)
    different = {
        key: f"{key}: {_shown(old, key)} -> {_shown(new, key)}"
        for key in (*new, *(key for key in old if key not in new))
        if old.get(key) != new.get(key)
    }
    refused = [
        text
        for key, text in different.items()
        if key.startswith(_FIXED) and not key.startswith(_FREE_OF_MODEL)
    ]
    if refused:
        raise ConfigError(
            f"'{resumed.run_dir}' cannot be resumed with another model, adapter, objective, optimizer or tokens: "
            + "; ".join(refused)
        )
    return list(different.values())


def check_data_identity(identity: str, checkpoint: Path) -> None:
    """Make sure that the tokens are those that the model of a checkpoint learned from.

    Raises: ConfigError.
    """
    if load_state(checkpoint).get("data_identity") != identity:
        raise ConfigError(
            f"{checkpoint}: the text of this run, or its tokenizer, has changed since; bring the old text back,"
            " name another text with eval --data, or start a new run (model.init_from takes the weights along)"
        )


def _resumed_at(checkpoint: Path) -> Resumed:
    run_dir = run_of(checkpoint)
    assert run_dir is not None
    # The plugins of the user's own config have been run; a checkpoint could name any file.
    config = trusted_config(checkpoint, run_plugins=False)
    state = load_state(checkpoint)
    progress = Progress.from_json(state.get("progress"))
    if progress.step != saved_step(checkpoint):
        raise CheckpointError(
            f"{checkpoint}: its state is of step {progress.step}, against its manifest"
        )
    return Resumed(run_dir, checkpoint, config, state)


def _finish_saving(resumed: Resumed) -> None:
    """Do what a process that died within a save has left undone."""
    remove_strays(resumed.run_dir)
    for folder in (resumed.run_dir, checkpoints_folder(resumed.run_dir)):
        remove_unfinished(folder)
    with suppress(OSError):  # a full disk: the next save tries again
        if pointed(resumed.run_dir, "last") != resumed.checkpoint:
            point(resumed.run_dir, "last", resumed.checkpoint)


def _go_back(resumed: Resumed, say: Callable[[str], None]) -> None:
    """Let an older checkpoint be the newest: what came after it belongs to a run that is given up."""
    progress = resumed.state["progress"]
    for note in abandon_newer(resumed.run_dir, progress["step"]):
        say(note)
    best = resumed.checkpoint.with_name(step_name(progress["best_step"] or progress["step"]))
    if pointed(resumed.run_dir, "best") is None and best.is_dir():
        point(resumed.run_dir, "best", best)
    point(resumed.run_dir, "last", resumed.checkpoint)


def _newest_called(name: str) -> Path | None:
    called = re.compile(rf"{re.escape(name)}(-\d+)?")
    return next((run for run in list_runs() if called.fullmatch(run.name)), None)


def _flat(config: RunConfig) -> dict[str, Any]:
    settings = config.model_dump(mode="json", exclude={"run_dir", "loggers", "plugins"})
    return dict(_leaves(settings, ""))


def _leaves(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "(none)"
