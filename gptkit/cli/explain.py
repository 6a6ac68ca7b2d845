"""gptkit explain."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Json, Run


def explain(
    text: Annotated[str, typer.Option(metavar="T", help="What the model reads.")],
    run: Run = None,
    ablate: Annotated[
        str | None,
        typer.Option(metavar="residual|mlp", help="Show what becomes of the model without these."),
    ] = None,
    json: Json = False,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Look inside a model while it reads a text: probabilities, attention, layers, embeddings."""
    from gptkit.recipes.explain import explain as recipe

    recipe.run(
        run,
        text=text,
        ablate=ablate,
        checkpoint=checkpoint,
        as_json=json,
        allow_plugins=allow_plugins,
    )
