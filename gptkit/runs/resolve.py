"""What RUN on the command line means: which checkpoint folder.

nothing               the newest run below `runs/` that has a verified checkpoint
a run folder          its best checkpoint, or what --checkpoint names: best, last or a step
a checkpoint folder   itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gptkit.checkpoint import (
    Found,
    best_verified,
    newest_verified,
    not_usable,
    step_name,
    step_of,
    verify,
)
from gptkit.checkpoint.manifest import MANIFEST_NAME
from gptkit.checkpoint.names import candidates, corrupt
from gptkit.errors import CheckpointError, ConfigError
from gptkit.runs.folders import holds_run, list_runs, read_record, runs_folder

_MAX_LISTED = 8


def resolve(
    run: Path | None,
    checkpoint: str | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Return the verified checkpoint folder that RUN and --checkpoint mean.

    say: is told what was passed over, and why.

    Raises: ConfigError when there is no such run, checkpoint or step; CheckpointError when there
    are checkpoints and none is usable, or the one asked for is not.
    """
    if run is None:
        found = _of_newest_run(checkpoint)
    elif is_checkpoint(run):
        found = _itself(run, checkpoint)
    else:
        found = _of_run(_run_folder(run), checkpoint)
    for note in found.notes:
        say(note)
    return found.folder


def run_folder(run: Path | None) -> Path:
    """Return the run folder that RUN means, whatever state its checkpoints are in.

    Nothing means the newest run that has any, usable or not.

    Raises: ConfigError when there is no such run.
    """
    if run is not None:
        return _run_folder(run)
    newest = next(_runs_with_checkpoints(), None)
    if newest is None:
        raise _no_checkpoints()
    return newest


def is_checkpoint(folder: Path) -> bool:
    """Say whether a path names a checkpoint folder, whole or not."""
    return folder.is_dir() and (
        (folder / MANIFEST_NAME).exists() or step_of(folder.absolute().name) is not None
    )


def run_of(checkpoint: Path) -> Path | None:
    """Return the run folder around a checkpoint folder; None for one that was moved elsewhere."""
    # As the user named it where that says enough: a relative path stays one.
    parent = checkpoint.parent if checkpoint.parent.name else checkpoint.absolute().parent
    return parent.parent if parent.name == "checkpoints" else None


def _of_newest_run(checkpoint: str | None) -> Found:
    damaged: list[str] = []
    for run in _runs_with_checkpoints():
        try:
            found = _of_run(run, checkpoint)
        except CheckpointError as error:
            damaged.append(str(error))
            continue
        return Found(found.folder, (*damaged, *found.notes))
    if damaged:
        raise CheckpointError("\n".join(damaged))
    raise _no_checkpoints()


def _runs_with_checkpoints() -> Iterator[Path]:
    """Yield the runs that are no sweep's and have checkpoints, if only damaged ones; newest first."""
    for run in list_runs():
        if not read_record(run).sweep and (candidates(run) or corrupt(run)):
            yield run


def _no_checkpoints() -> ConfigError:
    return ConfigError(
        f"no run below '{runs_folder()}' has a checkpoint; train one with: gptkit train quickstart"
    )


def _itself(folder: Path, checkpoint: str | None) -> Found:
    if checkpoint is not None:
        raise ConfigError(
            f"'{folder}' is a checkpoint already: --checkpoint {checkpoint} is for runs"
        )
    # A link that the user names is meant to be followed; none inside a run is.
    return _verified(folder.resolve() if folder.is_symlink() else folder)


def _run_folder(path: Path) -> Path:
    """Return the run folder that the user named.

    Raises: ConfigError saying what is there instead, and which runs there are.
    """
    if path.absolute().name == "checkpoints" and holds_run(path.absolute().parent):
        return path.parent
    if path.is_dir() and holds_run(path):
        return path
    if not path.exists():
        what = "does not exist"
    elif path.is_dir():
        what = f"is neither a run (no checkpoints/) nor a checkpoint (no {MANIFEST_NAME})"
    else:
        what = "is a file, neither a run folder nor a checkpoint folder"
    raise ConfigError(f"'{path}' {what}; {_known_runs()}")


def _of_run(run: Path, checkpoint: str | None) -> Found:
    if checkpoint in (None, "best"):
        found = best_verified(run)
    elif checkpoint == "last":
        found = newest_verified(run)
    else:
        found = _verified(_of_step(run, checkpoint or ""))
    if found is None:
        raise ConfigError(f"'{run}' has no checkpoint yet")
    return found


def _of_step(run: Path, checkpoint: str) -> Path:
    digits = checkpoint.removeprefix("step_")
    if not (digits.isascii() and digits.isdigit()):
        raise ConfigError(f"--checkpoint '{checkpoint}': must be best, last or a step such as 2000")
    name = step_name(int(digits[:20]))
    for folder in candidates(run):
        if folder.name == name:
            return folder
    steps = [str(step) for folder in candidates(run) if (step := step_of(folder.name)) is not None]
    there = f"there are {', '.join(reversed(steps))}" if steps else "there are none"
    raise ConfigError(f"'{run}' has no checkpoint of step {int(digits[:20])}; {there}")


def _verified(folder: Path) -> Found:
    problems = verify(folder)
    if problems:
        raise CheckpointError(not_usable(folder, problems))
    return Found(folder)


def _known_runs() -> str:
    names = [run.name for run in list_runs()]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    if not names:
        return f"there are no runs below '{runs_folder()}'"
    return f"runs below '{runs_folder()}': {', '.join(names[:_MAX_LISTED])}{more}"
