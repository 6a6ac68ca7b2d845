"""gptkit config list | show | copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import Config, Json, Settings

app = typer.Typer(no_args_is_help=True, help="The shipped configs and their settings.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the shipped configs."""
    from gptkit.recipes import config as recipe

    recipe.list_shipped(as_json=json)


@app.command()
def show(config: Config, settings: Settings = None, json: Json = False) -> None:
    """Print the settings of a config, resolved, each with its help."""
    from gptkit.recipes import config as recipe

    recipe.show(config, settings or [], as_json=json)


@app.command()
def copy(
    config: Config,
    to: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="NAME.yaml if left out.")
    ] = None,
) -> None:
    """Copy a shipped config to a file of your own."""
    from gptkit.recipes import config as recipe

    recipe.copy(config, to)
