"""gptkit plan."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import Config, Json, Settings


def plan(
    config: Config,
    settings: Settings = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Propose a run of that time: 30m, 2h."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a run will take, memory, time, FLOPs, and what would make it better, before it is begun."""
    from gptkit.recipes.plan import words as recipe

    recipe.run(config, settings or [], time=time, as_json=json)
