"""gptkit eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Json, Run


def evaluate(
    run: Run = None,
    split: Annotated[
        str, typer.Option(metavar="val|test|train", help="Part of the run's own data.")
    ] = "val",
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A text file, in place of the run's data.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="S", help="Move the window by S tokens: more context, more time."
        ),
    ] = None,
    json: Json = False,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Measure a trained model: loss, perplexity, bits per byte, accuracy."""
    from gptkit.recipes import evaluate as recipe

    recipe.run(
        run,
        split=split,
        data=data,
        stride=stride,
        as_json=json,
        checkpoint=checkpoint,
        allow_plugins=allow_plugins,
    )
