"""Weights of eight bits: W[o, i] ~ values[o, i] * scales[o], one scale an output channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gptkit.model.gpt import GPT

_LARGEST = 127
_SMALLEST = 1e-30  # a row of zeros needs a factor too


@dataclass(frozen=True)
class Int8Weight:
    """A matrix (O, I) as whole numbers from -127 to 127 and a bfloat16 factor for each of its rows."""

    values: Tensor
    """(O, I) int8."""
    scales: Tensor
    """(O,) bfloat16."""

    def dequantised(self) -> Tensor:
        """Return the matrix that this stands for, (O, I) float32."""
        return self.values.float() * self.scales.float().unsqueeze(1)


Int8Weights = Mapping[int, Int8Weight]


def quantise(weight: Tensor) -> Int8Weight:
    """Round a matrix (O, I) to eight bits; the largest weight of each row becomes +-127.

    >>> quantise(torch.tensor([[0.5, -1.0], [0.0, 0.0]])).values
    tensor([[  64, -127],
            [   0,    0]], dtype=torch.int8)
    """
    weight = weight.detach().float()
    largest = weight.abs().amax(dim=1).clamp(min=_SMALLEST)
    scales = (largest / _LARGEST).bfloat16()
    values = (weight / scales.float().unsqueeze(1)).round_().clamp_(-_LARGEST, _LARGEST)
    return Int8Weight(values.to(torch.int8), scales)


@torch.no_grad()
def quantise_model(model: GPT) -> Int8Weights:
    """Round the matrices of all products to eight bits, in place, and the model to bfloat16.

    Returns the eight-bit forms, by the id() of the parameter that now holds the same numbers in
    bfloat16. Norms, biases, positions and an embedding that is not also the head are not rounded.
    """
    found = {id(weight): quantise(weight) for weight in _matrices(model)}
    model.bfloat16()
    for weight in _matrices(model):
        weight.copy_(found[id(weight)].dequantised())
    return found


def _matrices(model: GPT) -> Iterator[Tensor]:
    for module in model.blocks.modules():
        if isinstance(module, nn.Linear):
            yield module.weight
    yield model.head_weight
