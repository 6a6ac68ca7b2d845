"""One forward pass, watched: what the model said, what each block passed on, what each head looked at.

The pass is the model's own. Hooks take what blocks give out; a spy on `attend` takes the queries and keys that the
attention really used, after norms and rotation, so that the maps hold for any of its variants.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from gptkit.model import attention as attention_module
from gptkit.model.attend import causal_mask
from gptkit.model.gpt import GPT, Block
from gptkit.training.loss import token_losses

Ablation = Literal["residual", "mlp"]


@dataclass
class Layer:
    """What happened in a block. T tokens, C channels, H heads, D channels of a head."""

    output: Tensor
    """(T, C) the residual stream behind it."""
    attention_norm: float = 0.0
    """Mean length of what attention added to a position."""
    mlp_norm: float = 0.0
    """Mean length of what the MLP added."""
    weights: Tensor | None = None
    """(H, T, T) how much each query (row) took from each key; None: another kind of attention."""
    gathered: Tensor | None = None
    """(H, T, D) what each head brought, as the model computed it."""
    values: Tensor | None = None
    """(H, T, D) what the keys had to give."""


@dataclass
class Trace:
    """A forward pass of T tokens over a vocabulary of V."""

    logits: Tensor
    """(T, V)."""
    embedded: Tensor | None = None
    """(T, C) the residual stream before the first block; None: a model without blocks."""
    layers: list[Layer] = field(default_factory=list)


def watch(model: nn.Module, tokens: Tensor, ablate: Ablation | None = None) -> Trace:
    """Return what happens when the model reads `tokens`, (T,) int64, in eval mode.

    ablate: leave out the residual connections, or the MLPs, of all blocks.
    """
    blocks = [cast(Block, block) for block in getattr(model, "blocks", ())]
    layers = [Layer(torch.empty(0)) for _ in blocks]
    embedded: list[Tensor] = []
    with ExitStack() as undo:
        for block, layer in zip(blocks, layers, strict=True):
            undo.enter_context(_hooked(block, layer, ablate))
        if blocks:
            first = blocks[0].register_forward_pre_hook(lambda _, args: embedded.append(args[0][0]))
            undo.callback(first.remove)
        undo.enter_context(_spied(layers))
        undo.enter_context(torch.no_grad())
        logits: Tensor = model(tokens.unsqueeze(0))
    return Trace(logits[0], embedded[0] if embedded else None, layers)


def gradient_norms(model: nn.Module, tokens: Tensor) -> list[float]:
    """Return the norm of the gradient of the mean loss with respect to each block's output."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    blocks = [cast(nn.Module, block) for block in getattr(model, "blocks", ())]
    handles = [block.register_forward_hook(keep) for block in blocks]
    try:
        with torch.enable_grad():
            logits = model(tokens[:-1].unsqueeze(0))
            token_losses(logits, tokens[1:].unsqueeze(0)).mean().backward()  # type: ignore[no-untyped-call]
        return [float(output.grad.norm()) if output.grad is not None else 0.0 for output in kept]
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad(set_to_none=True)


def lens(model: GPT, residual: Tensor) -> Tensor:
    """Return the probabilities that the model would give, were a residual stream the last: (T, C) -> (T, V).

    Reference: the logit lens, nostalgebraist 2020.
    """
    with torch.no_grad():
        logits: Tensor = model.unembed(model.final_norm(residual))
        probabilities: Tensor = logits.float().softmax(dim=-1)
    return probabilities


def distance_from_rank_one(x: Tensor) -> float:
    """Return how different the positions of x (T, C) are: 0 where all are the same vector, at most 1.

    ||x - mean|| / ||x||, Frobenius norms: without residual connections it falls with depth, to rank 1.

    Reference: Attention is not all you need, arXiv:2103.03404.
    """
    x = x.float()
    return float((x - x.mean(dim=0, keepdim=True)).norm() / x.norm().clamp(min=1e-30))


def attention_weights(q: Tensor, k: Tensor, window: int | None) -> Tensor:
    """Return softmax(q k^T / sqrt(D) + mask): q (H, T, D), k (G, T, D) -> (H, T, T) float32."""
    k = k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)
    scores = q.float() @ k.float().mT * q.shape[-1] ** -0.5
    mask = causal_mask(q.shape[1], k.shape[1], window=window, device=q.device)
    weights: Tensor = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return weights


@contextmanager
def _hooked(block: Block, layer: Layer, ablate: Ablation | None) -> Iterator[None]:
    """Note what a block gives out, and change it where it is ablated."""
    parts: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            parts[name] = output[0]

        return hook

    def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        if ablate == "residual":
            attended = parts["attention"].unsqueeze(0)
            output = block.mlp(block.mlp_norm(attended))
        elif ablate == "mlp":
            output = args[0] + parts["attention"].unsqueeze(0)
        layer.output = output[0]
        layer.attention_norm = float(parts["attention"].float().norm(dim=-1).mean())
        layer.mlp_norm = float(parts["mlp"].float().norm(dim=-1).mean())
        return output

    handles = [
        cast(nn.Module, block.attention).register_forward_hook(note("attention")),
        block.mlp.register_forward_hook(note("mlp")),
        block.register_forward_hook(after),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _spied(layers: list[Layer]) -> Iterator[None]:
    """Note queries, keys and values of each call of `attend`, in the order of the blocks."""
    name = "attend"
    real = getattr(attention_module, name)
    calls = iter(layers)

    def spy(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        gathered: Tensor = real(q, k, v, **options)
        layer = next(calls)
        layer.weights = attention_weights(q[0], k[0], options.get("window"))
        layer.values = v[0].repeat_interleave(q.shape[1] // v.shape[1], dim=0)
        layer.gathered = gathered[0]
        return gathered

    setattr(attention_module, name, spy)
    try:
        yield
    finally:
        setattr(attention_module, name, real)
