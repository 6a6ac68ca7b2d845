"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="auto|PATH",
        help="Go on with this config's newest run (auto), or with a run or checkpoint folder.",
    ),
]
RunDir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the run, in place of run_dir.")
]
Devices = Annotated[
    int, typer.Option(min=1, metavar="N", help="Train on N devices of this machine.")
]
ExtendTo = Annotated[
    int | None,
    typer.Option(min=1, metavar="STEPS", help="Resume and go on until this many steps."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything; train and write nothing.")
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
Temperature = Annotated[
    float, typer.Option(min=0.0, help="0: always the likeliest token; 1: as learned.")
]
TopK = Annotated[int | None, typer.Option(min=0, help="Only the K likeliest tokens; 0: all.")]
TopP = Annotated[
    float | None, typer.Option(help="Only the likeliest tokens that hold this probability.")
]
WritingDType = Annotated[
    Literal["auto", "float32", "bfloat16", "int8"],
    typer.Option(
        metavar="auto|float32|bfloat16|int8",
        help="Precision; int8: weights of 8 bits, fastest on CPUs, a little less exact.",
    ),
]
AllowPlugins = Annotated[
    bool,
    typer.Option("--allow-plugins", help="Run the Python files that the checkpoint carries."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
