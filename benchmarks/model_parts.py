"""Time the parts of a model that gptkit does not leave to torch, and what they are worth in a whole step.

    python benchmarks/model_parts.py

Results: model_parts.md. The ways of a part take turns, so that they meet the same noise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from common.page import table, write_page
from torch import Tensor
from torch.nn import functional as F

from gptkit.model import GPT, ModelConfig
from gptkit.model.activations import ACTIVATIONS, silu_gate
from gptkit.model.attend import attend_by_matmul
from gptkit.model.dropout import Dropout
from gptkit.model.heads import HeadNorms, split_heads
from gptkit.model.native import parts as native
from gptkit.model.norm import RMSNorm
from gptkit.model.positions import RotaryConfig, RotaryPositions
from gptkit.runtime.process import share_the_cores

DTYPES = (torch.float32, torch.bfloat16)
SHAPES = ((12, 64, 4, 32), (16, 256, 6, 64))  # sequences, tokens, heads, channels of a head
ATTENTIONS = ((12, 4, 64, 32), (16, 6, 128, 64), (16, 6, 256, 64), (8, 6, 512, 64))
MODELS = (
    (
        "4 x 128, 12 x 64 tokens",
        {"n_layer": 4, "n_head": 4, "n_embd": 128, "context_length": 64},
        12,
    ),
    ("6 x 384, 16 x 256", {"n_layer": 6, "n_head": 6, "n_embd": 384, "context_length": 256}, 16),
)
PRESETS = (("gpt2", 0.2), ("modern", 0.0), ("speedrun", 0.2))
P = 0.2

Way = Callable[..., Tensor | tuple[Tensor, ...]]


def main() -> None:
    share_the_cores()
    parts = [row for dtype in DTYPES for row in (*all_parts(dtype), *attentions(dtype))]
    steps = [row for name, sizes, rows in MODELS for row in models(name, sizes, rows)]
    write_page(
        Path(__file__).with_suffix(".md"),
        "Parts of a model on a CPU",
        [
            "Forward and backward, median in milliseconds. torch: its own operation, where it has one."
            " by torch: gptkit's code without\na C++ compiler. compiled: gptkit/model/native.",
            table(("part", "shape", "dtype", "torch", "by torch", "compiled"), parts),
            "## Whole models\n\nForward and backward in bfloat16, vocabulary 65, median in milliseconds and, in"
            " brackets, how many times as fast as\nwithout a compiler. Seconds: what torch.compile takes before the"
            " first step, with what it keeps from other runs.",
            table(
                (
                    "model",
                    "preset",
                    "dropout",
                    "by torch",
                    "compiled parts",
                    "torch.compile",
                    "seconds",
                ),
                steps,
            ),
        ],
    )


def all_parts(dtype: torch.dtype) -> Iterator[tuple[str, ...]]:
    """Yield a row for each part of a block."""
    for batch, tokens, heads, width in SHAPES:
        channels = heads * width
        norm, dropout = RMSNorm(channels, eps=1e-6), Dropout(P)
        x = torch.randn(batch, tokens, channels, dtype=dtype)
        weight = norm.weight.detach().to(dtype)
        yield row(
            "RMSNorm",
            x.shape,
            dtype,
            norm,
            (x,),
            lambda x, w=weight: F.rms_norm(x, w.shape, w, 1e-6),
        )
        yield row("dropout", x.shape, dtype, dropout, (x,), lambda x: F.dropout(x, P))
        config = ModelConfig(n_head=heads, n_embd=channels, context_length=tokens)
        rotation = RotaryPositions(RotaryConfig(), config).rotation(torch.arange(tokens))
        norms = HeadNorms(torch.ones(width), torch.ones(width), 1e-6)
        product = torch.randn(batch, tokens, 3 * channels, dtype=dtype)
        split = lambda product: split_heads(product, heads, heads, norms, rotation)  # noqa: E731, B023
        yield row("heads", product.shape, dtype, split, (product,), None)
        inner = torch.randn(2, batch, tokens, 4 * channels, dtype=dtype).unbind()
        yield row("SwiGLU's gate", inner[0].shape, dtype, silu_gate, inner, None)
        gelu, gelu_by_torch = ACTIVATIONS["gelu_tanh"], ACTIVATIONS["gelu_tanh"].by_torch
        yield row("GELU, tanh", inner[0].shape, dtype, gelu, inner[:1], gelu_by_torch)
        relu2 = ACTIVATIONS["relu2"]
        yield row(
            "relu squared", inner[0].shape, dtype, relu2, inner[:1], lambda x: F.relu(x).square()
        )


def attentions(dtype: torch.dtype) -> Iterator[tuple[str, ...]]:
    """Yield a row for each shape and dropout: torch's kernel, and two products with a softmax between."""
    for shape in ATTENTIONS:
        qkv = tuple(torch.randn(shape, dtype=dtype) for _ in range(3))
        for p in (0.0, P):
            dropout = Dropout(p) if p else None
            kernel = lambda *qkv, p=p: F.scaled_dot_product_attention(  # noqa: E731
                *qkv, is_causal=True, dropout_p=p
            )
            ours = lambda *qkv, dropout=dropout: attend_by_matmul(*qkv, dropout=dropout)  # noqa: E731
            yield row(f"attention{', dropout' * (p > 0)}", shape, dtype, ours, qkv, kernel)


def row(
    part: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    ours: Way,
    inputs: tuple[Tensor, ...],
    torchs: Way | None,
) -> tuple[str, ...]:
    """Return part, shape, dtype and the milliseconds of each way."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)

    def run(way: Way) -> Callable[[], None]:
        y = way(*inputs)
        outputs = y if isinstance(y, tuple) else (y,)
        gradients = tuple(torch.randn_like(output) for output in outputs)

        def once() -> None:
            for x in inputs:
                x.grad = None
            y = way(*inputs)
            torch.autograd.backward(y if isinstance(y, tuple) else (y,), gradients)

        return once

    ways = [by_torch(run(ours)), run(ours)]
    if torchs is not None:
        ways.insert(0, run(torchs))
    found = [
        f"{1e3 * time:.2f}" for time in take_turns(ways, 5 if inputs[0].numel() > 500_000 else 40)
    ]
    dims = " x ".join(map(str, shape))
    print(part, dims, *found, flush=True)
    return (part, dims, str(dtype).removeprefix("torch."), *["-"] * (3 - len(found)), *found)


def models(name: str, sizes: dict[str, int], rows: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each preset."""
    tokens, targets = torch.randint(65, (2, rows, sizes["context_length"]))
    for preset, p in PRESETS:
        model = GPT(ModelConfig.model_validate({"preset": preset, "dropout": p, **sizes}), 65)
        model.init_weights(1)

        def loss(model: GPT = model) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return F.cross_entropy(model(tokens).float().flatten(0, 1), targets.flatten())

        def step(loss: Callable[[], Tensor] = loss, model: GPT = model) -> None:
            loss().backward()
            model.zero_grad()

        torch.compiler.reset()
        compiled = torch.compile(loss)
        start = time.perf_counter()
        step(compiled)
        seconds = time.perf_counter() - start
        count = 40 if rows * sizes["n_embd"] < 2000 else 4
        times = take_turns([by_torch(step), step, lambda: step(compiled)], count)  # noqa: B023
        words = [f"{1e3 * taken:.1f} ({times[0] / taken:.2f}x)" for taken in times]
        print(name, preset, p, *words, flush=True)
        yield (name, preset, f"{p:g}", *words, f"{seconds:.0f}")


def by_torch(way: Callable[[], None]) -> Callable[[], None]:
    """Return the same without what gptkit has compiled."""
    compiled = native._parts

    def run() -> None:
        native._parts = lambda: None
        way()
        native._parts = compiled

    return run


def take_turns(ways: list[Callable[[], None]], times: int) -> list[float]:
    """Return the median seconds of each way; four rounds, a few calls of each in a row."""
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(4):
        for way, taken in zip(ways, found, strict=True):
            way()
            for _ in range(times):
                start = time.perf_counter()
                way()
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in found]


if __name__ == "__main__":
    main()
