"""gptkit compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Json


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Run or checkpoint folders.")
    ],
    json: Json = False,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Say which of several runs is better, and how sure that is.

    Runs whose settings are equal but for the seed count as one recipe; from 3 seeds on each side the answer is about
    the recipes, else about these checkpoints.
    """
    from gptkit.recipes.compare import compare as recipe

    recipe.run(runs, as_json=json, checkpoint=checkpoint, allow_plugins=allow_plugins)
