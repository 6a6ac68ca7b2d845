"""gptkit sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from gptkit.cli.options import (
    AllowPlugins,
    Checkpoint,
    Json,
    Run,
    Temperature,
    TopK,
    TopP,
    WritingDType,
)


def sample(
    run: Run = None,
    dash: Annotated[
        str | None, typer.Argument(metavar="-", help="Read the prompt from standard input.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Text to go on from; -: read it from standard input."),
    ] = None,
    prompt_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File with the prompt; -: standard input."),
    ] = None,
    prompts_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='A prompt a line (.jsonl: under "prompt"); prints JSON lines.'
        ),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Tokens of a sample.")
    ] = 200,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: Annotated[
        float | None, typer.Option(help="Only tokens at least this likely, next to the likeliest.")
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1: tokens that were there become less likely.")
    ] = 1.0,
    logit_bias: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=X", help="Add X to a token's logit; -1000000: never; repeatable."),
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="STR", help="End before this text; repeatable.")
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Go on after end-of-text.")
    ] = False,
    num_samples: Annotated[int, typer.Option(min=1, metavar="N", help="Samples.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 1337,
    on_overflow: Annotated[
        Literal["slide", "stop"],
        typer.Option(
            metavar="slide|stop", help="Past the context: read its last half again, or end."
        ),
    ] = "slide",
    no_echo: Annotated[
        bool, typer.Option("--no-echo", help="Print the continuation without the prompt.")
    ] = False,
    json: Json = False,
    log_probs: Annotated[
        bool, typer.Option("--log-probs", help="The JSON gives each token's log-probability.")
    ] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask for prompts until Ctrl-D.")
    ] = False,
    dtype: WritingDType = "auto",
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Let a trained model write."""
    from gptkit.recipes.ahead import get_ready_to_write

    get_ready_to_write()
    from gptkit.recipes.sample import SampleRequest, run_sample
    from gptkit.recipes.writing import WritingOptions

    if run == Path("-"):
        run, dash = None, "-"
    if dash not in (None, "-"):
        raise typer.BadParameter(f"'{dash}': the prompt is given by --prompt, --prompt-file or -")
    options: WritingOptions = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "logit_bias": dict(map(_bias, logit_bias or ())),
        "seed": seed,
        "stop": tuple(stop or ()),
        "ignore_eos": ignore_eos,
        "on_overflow": on_overflow,
    }
    run_sample(
        run,
        SampleRequest(
            prompt=prompt,
            prompt_file=prompt_file or dash,
            prompts_file=prompts_file,
            options=options,
            num_samples=num_samples,
            echo=not no_echo,
            as_json=json,
            log_probs=log_probs,
            interactive=interactive,
        ),
        checkpoint=checkpoint,
        dtype=dtype,
        allow_plugins=allow_plugins,
    )


def _bias(text: str) -> tuple[int, float]:
    token, _, value = text.partition("=")
    try:
        return int(token), float(value)
    except ValueError:
        raise typer.BadParameter(
            f"--logit-bias {text}: must be a token's id and a number, such as 50=-2.5"
        ) from None
