"""The id under which a tracker knows a run, kept in the run folder for when it is resumed."""

from __future__ import annotations

import secrets

from gptkit.atomic import write_text
from gptkit.loggers.base import TrackedRun


def tracked_id(run: TrackedRun, tracker: str) -> str:
    """Return the run's id for `tracker`: its name and a random end, made at the first start.

    The name alone would not do: all folders called runs/quickstart, anywhere, would share one
    history.
    """
    path = run.run_dir / tracker / "run_id.txt"
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    made = f"{run.name}-{secrets.token_hex(4)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, made + "\n")
    return made
