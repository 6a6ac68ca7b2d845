"""LoRA: W x becomes W x + (alpha / rank) B A x, and only A and B learn.

    x ─┬─ W ──────────────┬─ y        W: (out, in), frozen
       └─ A ── B ── scale ┘           A: (rank, in), normal; B: (out, rank), 0 at first

Reference: LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from gptkit.errors import ConfigError
from gptkit.model.adapter_config import LoRAConfig
from gptkit.model.dropout import Dropout
from gptkit.model.init import fill_normal

_DOWN, _UP = ".lora_down", ".lora_up"


class LoRALinear(nn.Linear):
    """A linear layer whose weight stays, with an update that learns."""

    def __init__(self, layer: nn.Linear, section: LoRAConfig) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = section.alpha / section.rank
        self.dropout = Dropout(section.dropout)
        new = layer.weight.new_zeros
        self.lora_down = nn.Parameter(new(section.rank, self.in_features))
        self.lora_up = nn.Parameter(new(self.out_features, section.rank))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., in) -> (..., out)."""
        update = F.linear(F.linear(self.dropout(x), self.lora_down), self.lora_up)
        return super().forward(x) + self.scale * update

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """Return the one matrix that does the same: (out, in)."""
        return updated(self.weight, self.lora_down, self.lora_up, self.scale)


def updated(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """Return weight + scale * up @ down, (out, in), summed in float32."""
    return (weight.float() + scale * (up.float() @ down.float())).to(weight.dtype)


def add_lora(section: LoRAConfig, model: nn.Module, seed: int) -> None:
    """Freeze a model that has its weights, and put updates beside its linear layers.

    Raises: ConfigError where a target names no linear layer of the blocks.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith("blocks.")
    }
    wanted = list(layers) if section.targets is None else _matching(section.targets, layers)
    if not wanted:
        raise ConfigError("adapter: this model has no linear layers in blocks for LoRA")
    model.requires_grad_(False)
    generator = Generator().manual_seed(seed)
    for name in wanted:
        parent, _, last = name.rpartition(".")
        layer = LoRALinear(layers[name], section)
        with torch.no_grad():
            fill_normal(layer.lora_down, 1 / math.sqrt(layer.in_features), generator)
        setattr(model.get_submodule(parent), last, layer)


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Let the parameters whose names match a pattern stay as they are.

    Raises: ConfigError for a pattern that matches none, and where nothing is left to learn.
    """
    names = dict(model.named_parameters())
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            some = ", ".join(list(names)[:6])
            raise ConfigError(f"freeze: no parameter matches '{pattern}'; there are {some}, ...")
        for name in found:
            names[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in names.values()):
        raise ConfigError("freeze: nothing is left to learn")


def updates_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the updates among the weights of a model or of a checkpoint."""
    return {name: tensor for name, tensor in weights.items() if name.endswith((_DOWN, _UP))}


def merge(
    weights: Mapping[str, Tensor], updates: Mapping[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """Return the weights of a model with the updates of an adapter added.

    Raises: KeyError, RuntimeError where they do not fit.
    """
    merged = dict(weights)
    for name, down in updates.items():
        if name.endswith(_DOWN):
            layer = name.removesuffix(_DOWN)
            up = updates[layer + _UP]
            merged[f"{layer}.weight"] = updated(weights[f"{layer}.weight"], down, up, scale)
    return merged


@contextmanager
def merged_in_place(model: nn.Module) -> Iterator[None]:
    """Let the layers' own matrices hold their updates for a while, for who reads them directly."""
    layers = [layer for layer in model.modules() if isinstance(layer, LoRALinear)]
    kept = [layer.weight.data for layer in layers]
    for layer in layers:
        layer.weight.data = layer.merged_weight()
    try:
        yield
    finally:
        for layer, weight in zip(layers, kept, strict=True):
            layer.weight.data = weight


def _matching(targets: Iterable[str], layers: Mapping[str, nn.Linear]) -> list[str]:
    found: dict[str, None] = {}
    for target in targets:
        names = [n for n in layers if fnmatchcase(n, target) or n.rpartition(".")[2] == target]
        if not names:
            known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in layers))
            raise ConfigError(f"adapter.targets: no linear layer is '{target}'; there are {known}")
        found |= dict.fromkeys(names)
    return list(found)
