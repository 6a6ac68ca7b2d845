"""gptkit checkpoint ls | verify."""

from __future__ import annotations

import typer

from gptkit.cli.options import Json, Run

app = typer.Typer(
    no_args_is_help=True, help="The checkpoints of a run; whether they are what was written."
)


@app.command()
def ls(run: Run = None, json: Json = False) -> None:
    """List the checkpoints, newest first, each read to its last byte."""
    from gptkit.recipes import checkpoint as recipe

    recipe.ls(run, as_json=json)


@app.command()
def verify(run: Run = None, json: Json = False) -> None:
    """Hold every file against its size and sha256; exit code 3 where one differs."""
    from gptkit.recipes import checkpoint as recipe

    recipe.verify(run, as_json=json)
