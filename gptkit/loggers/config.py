"""Settings of the trackers; metrics.jsonl and the console are always on and need none."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field

from gptkit.errors import ConfigError
from gptkit.section import Choices, Section

Project = Annotated[str, Field(min_length=1)]


class TensorBoardConfig(Section):
    """Event files in the run folder's `tensorboard/`, for `tensorboard --logdir runs`."""

    name: Literal["tensorboard"] = "tensorboard"


class WandbConfig(Section):
    """Weights & Biases; WANDB_MODE=offline keeps it on this machine."""

    name: Literal["wandb"] = "wandb"
    project: Project = "gptkit"
    """Project that the run appears in."""


class TrackioConfig(Section):
    """trackio, Hugging Face's local-first tracker."""

    name: Literal["trackio"] = "trackio"
    project: Project = "gptkit"
    """Project that the run appears in."""


LOGGERS = Choices(
    "logger",
    {
        TensorBoardConfig: "gptkit.loggers.tensorboard:TensorBoardLogger",
        WandbConfig: "gptkit.loggers.wandb:WandbLogger",
        TrackioConfig: "gptkit.loggers.trackio:TrackioLogger",
    },
    default="tensorboard",
)
"""A builder gets (section, run: TrackedRun) and returns a MetricLogger."""

_PACKAGES: dict[type[Section], str] = {
    TensorBoardConfig: "tensorboard",
    WandbConfig: "wandb",
    TrackioConfig: "trackio",
}


def check_installed(section: Section) -> None:
    """Make sure that a tracker's package is there, without importing it.

    Raises: ConfigError with the command that installs it.
    """
    package = _PACKAGES.get(type(section))
    if package is None:
        return
    spec = find_spec(package)
    if (
        spec is None or spec.origin is None
    ):  # no origin: a mere folder of that name, such as W&B leaves
        raise missing_package(package)


def missing_package(package: str) -> ConfigError:
    """Return the error for a tracker that is not installed; its extra has the package's name."""
    return ConfigError(
        f"loggers: '{package}' is not installed; install it with: pip install gptkit[{package}]"
    )
