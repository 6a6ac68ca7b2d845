"""gptkit train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import Config, Settings


def train(
    config: Config,
    settings: Settings = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="auto|PATH",
            help="Go on with this config's newest run (auto), or with a run or checkpoint folder.",
        ),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run, in place of run_dir.")
    ] = None,
    devices: Annotated[
        int, typer.Option(min=1, metavar="N", help="Train on N devices of this machine.")
    ] = 1,
    extend_to: Annotated[
        int | None,
        typer.Option(min=1, metavar="STEPS", help="Resume and go on until this many steps."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything; train and write nothing.")
    ] = False,
) -> None:
    """Prepare the data if needed, train, evaluate, save, and show samples."""
    from gptkit.recipes.train.start import start

    start(
        config,
        settings or [],
        resume=resume,
        run_dir=run_dir,
        devices=devices,
        extend_to=extend_to,
        dry_run=dry_run,
    )
