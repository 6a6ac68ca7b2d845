"""Decode state: the keys and values of tokens already read, so that each is computed once.

A cache is an argument of the model's forward, never part of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor


class LayerCache(Protocol):
    """What one attention layer remembers of the `length` tokens that it has read."""

    @property
    def length(self) -> int:
        """Tokens read so far."""

    def repeat(self, num_samples: int) -> Self:
        """Return a cache of `num_samples` rows, each a copy of this one's only row."""


class KVCache:
    """Keys and values of one layer: (B, G, max_length, D), filled up to `length`.

    >>> cache = KVCache(1, 2, 8, 4, dtype=torch.float32, device=torch.device("cpu"))
    >>> keys, values = cache.append(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    >>> cache.length, tuple(keys.shape)
    (3, (1, 2, 3, 4))
    """

    def __init__(
        self,
        batch_size: int,
        n_kv_head: int,
        max_length: int,
        head_dim: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (batch_size, n_kv_head, max_length, head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add T tokens and return all so far: (B, G, T, D) twice -> (B, G, S, D) twice."""
        start, end = self.length, self.length + keys.shape[2]
        assert end <= self.keys.shape[2], f"{end} tokens in a cache of {self.keys.shape[2]}"
        self.keys[:, :, start:end] = keys
        self.values[:, :, start:end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def repeat(self, num_samples: int) -> KVCache:
        assert self.keys.shape[0] == 1, "only a cache of one row is repeated"
        copy = object.__new__(KVCache)
        copy.keys = self.keys.repeat(num_samples, 1, 1, 1)
        copy.values = self.values.repeat(num_samples, 1, 1, 1)
        copy.length = self.length
        return copy


class RecentTokens:
    """The last tokens read, up to `count`: what embeddings look back on.

    >>> recent = RecentTokens(1, 2, device=torch.device("cpu"))
    >>> recent.append(torch.tensor([[5, 6, 7]])), recent.append(torch.tensor([[8]]))
    (tensor([[5, 6, 7]]), tensor([[6, 7, 8]]))
    """

    def __init__(self, batch_size: int, count: int, *, device: torch.device) -> None:
        self.count = count
        self.tokens = torch.empty((batch_size, 0), dtype=torch.int64, device=device)

    def append(self, tokens: Tensor) -> Tensor:
        """Add T tokens and return them behind the R <= count before: (B, T) -> (B, R + T)."""
        together = torch.cat((self.tokens, tokens), dim=1)
        self.tokens = together[:, max(0, together.shape[1] - self.count) :]
        return together

    def repeat(self, num_samples: int) -> RecentTokens:
        """Return `num_samples` rows, each a copy of this one's only row."""
        copy = RecentTokens(num_samples, self.count, device=self.tokens.device)
        copy.tokens = self.tokens.repeat(num_samples, 1)
        return copy


@dataclass(frozen=True)
class Cache:
    """Decode state of a whole model; made by `GPT.new_cache`."""

    layers: tuple[LayerCache, ...]
    """One entry per block."""
    recent: RecentTokens

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self.layers[0].length

    def repeat(self, num_samples: int) -> Cache:
        """Return a cache of `num_samples` rows, each a copy of this one's only row."""
        layers = tuple(layer.repeat(num_samples) for layer in self.layers)
        return Cache(layers, self.recent.repeat(num_samples))
