"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG", help="A YAML file, or the name of a shipped config (gptkit config list)."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: training.max_steps=200."),
]
Run = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN", help="A run folder or a checkpoint folder; nothing: the newest run."
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="best|last|STEP", help="Which checkpoint of a run folder (best)."),
]
AllowPlugins = Annotated[
    bool,
    typer.Option("--allow-plugins", help="Run the Python files that the checkpoint carries."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
