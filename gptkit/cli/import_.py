"""gptkit import hf."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make a run of a model from another program.")


@app.callback()
def root() -> None:
    """Make a run of a model from another program."""


@app.command()
def hf(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder or .safetensors file of GPT-2, Llama, Qwen3 or Arcee; or a name on the hub.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run folder to make; nothing: runs/NAME."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="Compare the result with transformers."),
    ] = True,
) -> None:
    """Make a run folder of a model in Hugging Face's layout; sample, eval and init_from work on it."""
    from gptkit.recipes.interchange import import_hf as recipe

    recipe.run(path, out, verify=verify)
