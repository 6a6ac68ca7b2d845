"""First weights, by the role that each tensor plays. Biases start at 0, norms at 1.

    role                  gpt2                     scaled
    linear                0.02                     1 / sqrt(fan_in)
    residual projection   0.02 / sqrt(2 n_layer)   linear / sqrt(2 n_layer)
    embedding             0.02                     1
    untied head           0.02                     1 / n_embd
    tied embedding        0.02                     0.5 / sqrt(n_embd)

The numbers are standard deviations of a normal distribution. A residual projection is a linear
layer that writes to the residual stream; 2 n_layer of them add up there.

A head starts small because logits near 0 mean a loss near ln V, the best guess of a model that
knows nothing. A tied one has a second reason: a hidden vector still resembles the embedding of the
token just read, and a large product of the two would predict that token again.

Reference: GPT-2, Radford et al. 2019, section 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from gptkit.model.config import ModelConfig


@runtime_checkable
class WritesResidual(Protocol):
    """A part that says which of its linear layers write to the residual stream."""

    def residual_projections(self) -> Iterable[nn.Linear]:
        """Return the linear layers whose output is added to the residual stream."""


def linear_std(config: ModelConfig, fan_in: int) -> float:
    return 0.02 if config.init == "gpt2" else 1 / math.sqrt(fan_in)


def residual_std(config: ModelConfig, fan_in: int) -> float:
    return linear_std(config, fan_in) / math.sqrt(2 * config.n_layer)


def embedding_std(config: ModelConfig) -> float:
    if config.init == "gpt2":
        return 0.02
    return 0.5 / math.sqrt(config.n_embd) if config.tie_embeddings else 1.0


def head_std(config: ModelConfig) -> float:
    return 0.02 if config.init == "gpt2" else 1 / config.n_embd


def empty_embedding(rows: int, width: int) -> nn.Embedding:
    """Return an embedding whose numbers are yet to be filled in.

    torch would draw them, which on the meta device imports its compiler: a second and a half.
    """
    table = torch.empty(rows, width)
    return nn.Embedding(rows, width, _weight=table)


@torch.no_grad()
def init_weights(model: nn.Module, config: ModelConfig, *, seed: int) -> None:
    """Fill all parameters of `model` from `seed`: the same weights on any device and in any dtype.

    The global random state is left alone. Parts without a role here (a plugin's convolution) fill
    themselves by their own reset_parameters.
    """
    generator = Generator().manual_seed(seed)
    residual = {
        projection
        for part in model.modules()
        if isinstance(part, WritesResidual)
        for projection in part.residual_projections()
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in model.named_modules():
            if isinstance(module, nn.Embedding):
                fill_normal(module.weight, embedding_std(config), generator)
            elif isinstance(module, nn.Linear):
                std_of = residual_std if module in residual else linear_std
                std = head_std(config) if name == "lm_head" else std_of(config, module.in_features)
                fill_normal(module.weight, std, generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif callable(reset := getattr(module, "reset_parameters", None)):
                reset()


def fill_normal(weight: Tensor, std: float, generator: Generator) -> None:
    """Fill `weight` with normal numbers that were drawn on the CPU in float32."""
    weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))
