"""gptkit report."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Json, Run


def report(
    run: Run = None,
    format: Annotated[
        str,
        typer.Option(metavar="html|png|svg", help="A page with all of it, or the curves alone."),
    ] = "html",
    json: Json = False,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write one file that says how a run went: verdict, curves, samples, data, cost."""
    from gptkit.recipes.report import report as recipe

    recipe.run(run, format=format, checkpoint=checkpoint, as_json=json, allow_plugins=allow_plugins)
