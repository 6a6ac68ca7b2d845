"""gptkit prepare."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import Json, Settings


def prepare(
    config: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped config."),
    ] = None,
    settings: Settings = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove prepared data: CONFIG's, or all of it.")
    ] = False,
    json: Json = False,
) -> None:
    """Tokenize a config's data now and say what it holds and where it lies."""
    from gptkit.recipes import prepare as recipe

    if clear:
        recipe.clear(config, settings or [])
    else:
        recipe.run(config, settings or [], as_json=json)
