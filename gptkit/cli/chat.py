"""gptkit chat."""

from __future__ import annotations

from typing import Annotated

import typer

from gptkit.cli.options import (
    AllowPlugins,
    Checkpoint,
    Run,
    Temperature,
    TopK,
    TopP,
    WritingDType,
)


def chat(
    run: Run = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the model is told before you speak.")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Tokens of an answer at most.")
    ] = 512,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 1337,
    dtype: WritingDType = "auto",
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Talk to a model that was taught to answer (gptkit finetune); a line is a turn."""
    from gptkit.recipes.ahead import get_ready_to_write

    get_ready_to_write()
    from gptkit.recipes.chat import run_chat

    run_chat(
        run,
        system=system,
        options={
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        },
        checkpoint=checkpoint,
        dtype=dtype,
        allow_plugins=allow_plugins,
    )
