"""gptkit doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Json


def doctor(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Prove that copies of this run, killed and resumed, end with equal bytes;"
            " nothing: measure the machine.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|mps", help="What to measure.")
    ] = "auto",
    steps: Annotated[
        int, typer.Option(min=2, metavar="N", help="With RUN: how far the copies train.")
    ] = 20,
    kills: Annotated[
        int, typer.Option(min=0, metavar="K", help="With RUN: how often one copy is killed.")
    ] = 3,
    seed: Annotated[
        int, typer.Option(help="With RUN: the same seed kills at the same steps.")
    ] = 1337,
    json: Json = False,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Measure what this machine can do; with RUN, prove that it resumes exactly here."""
    if run is None:
        from gptkit.recipes.doctor import machine as recipe

        recipe.run(device, as_json=json)
    else:
        from gptkit.recipes.doctor.proof import Plan, run_proof

        run_proof(
            run,
            Plan(steps=steps, kills=kills, seed=seed),
            as_json=json,
            allow_plugins=allow_plugins,
        )
