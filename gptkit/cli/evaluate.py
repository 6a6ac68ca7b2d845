"""gptkit eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Json, Run
from gptkit.errors import ConfigError


def evaluate(
    run: Run = None,
    split: Annotated[
        str, typer.Option(metavar="val|test|train", help="Part of the run's own data.")
    ] = "val",
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A text file or a .jsonl, in place of the run's data."),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="S", help="Move the window by S tokens: more context, more time."
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]", help="In place of a text: tasks of lm-evaluation-harness."
        ),
    ] = None,
    tasks_path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder with task files of your own.")
    ] = None,
    json: Json = False,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Measure a trained model: loss, perplexity, bits per byte, accuracy; or how it does on tasks."""
    if tasks is not None:
        if data is not None or stride is not None:
            raise ConfigError("--tasks asks questions of its own: leave out --data and --stride")
        from gptkit.recipes.tasks import tasks as task_recipe

        task_recipe.run(
            run,
            tasks=tasks,
            folder=tasks_path,
            as_json=json,
            checkpoint=checkpoint,
            allow_plugins=allow_plugins,
        )
        return
    if tasks_path is not None:
        raise ConfigError("--tasks-path: name the tasks of it, with --tasks NAME[,NAME]")
    from gptkit.recipes import evaluate as recipe

    recipe.run(
        run,
        split=split,
        data=data,
        stride=stride,
        as_json=json,
        checkpoint=checkpoint,
        allow_plugins=allow_plugins,
    )
