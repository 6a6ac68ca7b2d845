"""gptkit sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import Config, Json


def sweep(
    config: Config,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", metavar="KEY=V1,V2", help="Values to try, or a range: 1e-4..1e-2. Repeatable."
        ),
    ],
    search: Annotated[
        str, typer.Option(metavar="grid|random|optuna", help="How trials are chosen.")
    ] = "grid",
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Trials of a random or optuna search.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a config many times with other values, and rank the results in one table.

    The same command again goes on where it stopped.
    """
    from gptkit.recipes.sweep import sweep as recipe

    recipe.run(config, settings, search=search, num_trials=trials, as_json=json)
