"""gptkit export hf | gguf | onnx."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gptkit.cli.options import AllowPlugins, Checkpoint, Run

app = typer.Typer(
    no_args_is_help=True,
    help="Write a trained model for other programs, proved by loading it there.",
)


class FloatType(StrEnum):
    """How the numbers of a Hugging Face folder are stored."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class NumberType(StrEnum):
    """How the matrices of a GGUF file are stored."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"
    q8_0 = "q8_0"


Verify = Annotated[
    bool,
    typer.Option(
        "--verify/--no-verify", help="Load the result in the other program and compare it."
    ),
]


@app.command()
def hf(
    out: Annotated[Path, typer.Option(metavar="PATH", help="The folder to write.")],
    run: Run = None,
    dtype: Annotated[
        FloatType, typer.Option(help="How the numbers are stored.")
    ] = FloatType.float32,
    verify: Verify = True,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write a folder for transformers, vLLM and others: weights, config, tokenizer, model card."""
    from gptkit.recipes.interchange import export_hf as recipe
    from gptkit.recipes.interchange.source import Exported

    recipe.run(Exported(run, checkpoint, allow_plugins), out, dtype=dtype.value, verify=verify)


@app.command()
def gguf(
    out: Annotated[
        Path,
        typer.Option(metavar="PATH", help="The file to write, or a folder for model.gguf."),
    ],
    run: Run = None,
    dtype: Annotated[
        NumberType,
        typer.Option(case_sensitive=False, help="How the matrices are stored."),
    ] = NumberType.f16,
    verify: Verify = True,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write a file for llama.cpp, Ollama and others: weights and tokenizer in one."""
    from gptkit.recipes.interchange import export_gguf as recipe
    from gptkit.recipes.interchange.source import Exported

    exported = Exported(run, checkpoint, allow_plugins)
    recipe.run(exported, out, number_type=dtype.value, verify=verify)


@app.command()
def onnx(
    out: Annotated[
        Path,
        typer.Option(metavar="PATH", help="The file to write, or a folder for model.onnx."),
    ],
    run: Run = None,
    verify: Verify = True,
    checkpoint: Checkpoint = None,
    allow_plugins: AllowPlugins = False,
) -> None:
    """Write a graph for ONNX runtimes, with the cache as inputs and outputs."""
    from gptkit.recipes.interchange import export_onnx as recipe
    from gptkit.recipes.interchange.source import Exported

    recipe.run(Exported(run, checkpoint, allow_plugins), out, verify=verify)
