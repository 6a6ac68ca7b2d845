"""gptkit tokenizer train | encode | decode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import Config, Json, Settings

app = typer.Typer(no_args_is_help=True, help="Train a tokenizer; see what it does to a text.")

TokenizerPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="PATH",
        help="A tokenizer.json, or a folder with one (a run, a checkpoint); nothing: the newest run.",
    ),
]


@app.command()
def train(
    config: Config,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the tokenizer.")] = Path(
        "tokenizer.json"
    ),
    settings: Settings = None,
) -> None:
    """Train the tokenizer of a config on its text and write it to a file."""
    from gptkit.recipes import tokenizer as recipe

    recipe.train(config, settings or [], out)


@app.command()
def encode(
    path: TokenizerPath = None,
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="Text to encode; -: standard input.")
    ] = "-",
    json: Json = False,
) -> None:
    """Print the token ids of a text."""
    from gptkit.recipes import tokenizer as recipe

    recipe.encode(path, text, as_json=json)


@app.command()
def decode(
    path: TokenizerPath = None,
    tokens: Annotated[
        str, typer.Option(metavar="IDS", help="Token ids, parted by blanks; -: standard input.")
    ] = "-",
) -> None:
    """Print the text of token ids."""
    from gptkit.recipes import tokenizer as recipe

    recipe.decode(path, tokens)
