"""gptkit train, before any torch: the config, what can be checked at once, and the launch of several processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gptkit.config import Override, RunConfig, find_config, from_mapping
from gptkit.config.overrides import parse_override
from gptkit.data.prepare import check_text
from gptkit.dial import open_keys
from gptkit.errors import ConfigError
from gptkit.recipes.ahead import get_ready_to_train
from gptkit.recipes.journal import say
from gptkit.recipes.train.check import check, min_train_tokens
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.runs import holds_run, refuse_if_held
from gptkit.runtime.launch import is_launched, launch


def start(
    name: str,
    settings: Sequence[str] | Mapping[str, Any],
    *,
    resume: str | None = None,
    run_dir: Path | None = None,
    devices: int = 1,
    extend_to: int | None = None,
    dry_run: bool = False,
    also: Callable[[RunConfig], None] = lambda config: None,
) -> Path | None:
    """Train the config that `name` means and return the run folder; None for a dry run.

    also: raises a ConfigError for what one way to train asks for besides.

    Raises: GptkitError; SystemExit with the exit code of the processes that were launched.
    """
    path = find_config(name)
    overrides = (
        from_mapping(settings)
        if isinstance(settings, Mapping)
        else [parse_override(text) for text in settings]
    )
    if extend_to is not None:
        overrides.append(Override(("training", "max_steps"), extend_to))
        resume = resume or "auto"
    config = load_whole_config(path, overrides)
    if run_dir is not None:
        config = config.model_copy(update={"run_dir": run_dir})
    also(config)
    check(config, devices=devices)
    if config.run_dir is not None:
        _check_run_dir(config.run_dir, resume)
    if dry_run:
        check_text(config.data, min_train_tokens(config))
        keys = sorted(open_keys(config))
        if keys:
            say(f"{path}: chosen when training starts: {', '.join(keys)}")
        say(f"{path}: no problem found; nothing was written")
        return None
    if devices > 1 and not is_launched():
        raise SystemExit(launch(devices, sys.argv[1:]))
    if not is_launched():
        get_ready_to_train()
    from gptkit.recipes.train.train import train

    again = name if not overrides and run_dir is None else None
    return train(config, name=path.stem, folder=path.parent, resume=resume, again=again)


def _check_run_dir(run_dir: Path, resume: str | None) -> None:
    """Raises: ConfigError; RunInUseError when another process trains there."""
    if not is_launched():  # rank 0 may hold it already while the others still look
        refuse_if_held(run_dir)
    if resume is None and holds_run(run_dir):
        raise ConfigError(
            f"run_dir: '{run_dir}' holds a run already; give --resume auto to go on with it,"
            " or another folder"
        )
    above = next((path for path in (run_dir, *run_dir.absolute().parents) if path.exists()), None)
    if above is not None and not (above.is_dir() and os.access(above, os.W_OK)):
        raise ConfigError(
            f"run_dir: '{run_dir}' cannot be made: '{above}' is not a folder to write in"
        )
