"""What is exported: a checkpoint, its weights rounded to what the file will hold."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from gptkit.model import GPT
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run, load_run


@dataclass(frozen=True)
class Exported:
    """Which checkpoint, as the command line says it."""

    run: Path | None
    checkpoint: str | None
    allow_plugins: bool


def load_exported(exported: Exported) -> Run:
    """Return the run on the CPU in float32.

    Raises: ConfigError, CheckpointError.
    """
    loaded = load_run(
        exported.run,
        checkpoint=exported.checkpoint,
        device="cpu",
        dtype="float32",
        allow_plugins=exported.allow_plugins,
        say=say,
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    return loaded


@torch.no_grad()
def rounded(model: GPT, dtype: torch.dtype) -> GPT:
    """Return a float32 model with the weights that a file of `dtype` holds."""
    if dtype == torch.float32:
        return model
    copy = deepcopy(model)
    for weight in copy.parameters():
        weight.copy_(weight.to(dtype))
    return copy
