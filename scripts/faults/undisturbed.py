"""The run that nobody disturbs: its bytes are what every other one must end with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faults.bench import Bench
from faults.laws import each_step_once, same_end
from faults.project import RUN, Project
from faults.trial import Trial


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a project."""

    project: Project
    run: Path
    warm_seconds: float
    """How long it takes when it is forked from a warm process, preparation included."""
    cold_seconds: float
    """How long it takes from a cold start."""

    def seconds(self, trial: Trial) -> float:
        """Return how long the whole run takes in this trial."""
        return self.cold_seconds if trial.cold else self.warm_seconds


def undisturbed(
    project: Project, bench: Bench, shared: Trial, *more: str, name: str = "reference"
) -> Reference:
    """Run a project to its end twice, warm and cold, and make sure that both end alike.

    The short form runs it warm only. more: further arguments of the command.
    """
    seconds: dict[str, float] = {}
    runs: dict[str, Path] = {}
    for start in ("warm",) if bench.short else ("warm", "cold"):
        folder = shared.folder / f"{name}-{start}"
        project.write(folder)
        program = bench.cold if start == "cold" else bench.warm
        command = shared.run(*project.train(*more), cwd=folder, program=program)
        seconds[start] = command.seconds
        runs[start] = folder / RUN
        each_step_once(runs[start], project.max_steps)
    if "cold" in runs:
        same_end(runs["cold"], runs["warm"], project.max_steps)
    warm = seconds["warm"]
    return Reference(project, runs["warm"], warm, seconds.get("cold", warm + 4.0))
