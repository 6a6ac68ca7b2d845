"""Causal self-attention, and what a block asks of any variant of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from gptkit.model.attend import attend
from gptkit.model.cache import KVCache, LayerCache
from gptkit.model.config import ModelConfig, MultiHeadConfig
from gptkit.model.dropout import Dropout
from gptkit.model.heads import HeadNorms, split_heads
from gptkit.model.norm import RMSNorm
from gptkit.model.positions import Rotation


class Attention(Protocol):
    """What a block asks of any attention variant; built as Variant(section, model_config).

    A variant may also have `residual_projections()`: see `gptkit.model.init`; and
    `fused_projections()`: see `gptkit.training.muon`.
    """

    def __call__(
        self,
        x: Tensor,
        rotation: Rotation | None,
        cache: LayerCache | None,
        same_document: Tensor | None,
    ) -> Tensor:
        """Let each position gather from those before it; (B, T, C) -> (B, T, C).

        rotation: what `rotate` turns queries and keys by, or None.
        cache: what this layer remembers of the tokens before x, to be extended by x, or None.
        same_document: (B, 1, T, T) bool, which tokens may see each other at all; None: all.
        """

    def new_cache(
        self, batch_size: int, max_length: int, *, dtype: torch.dtype, device: torch.device
    ) -> LayerCache:
        """Return an empty cache for `max_length` tokens."""


class CausalSelfAttention(nn.Module):
    """H query heads that share G key/value heads: MHA (G = H), GQA, MQA (G = 1).

    Reference: Attention Is All You Need, arXiv:1706.03762, section 3.2; GQA, arXiv:2305.13245;
    QK-norm as in Qwen3, arXiv:2505.09388, section 2.
    """

    def __init__(self, section: MultiHeadConfig, config: ModelConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.n_kv_head = section.n_kv_head or config.n_head
        self.head_dim = section.head_dim or config.head_dim
        self.window = section.window
        channels = (self.n_head + 2 * self.n_kv_head) * self.head_dim
        self.qkv_proj = nn.Linear(config.n_embd, channels, bias=config.bias)
        self.out_proj = nn.Linear(self.n_head * self.head_dim, config.n_embd, bias=config.bias)
        self.dropout = Dropout(config.dropout)
        eps = config.norm_eps or 1e-6
        self.q_norm = RMSNorm(self.head_dim, eps=eps) if section.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(self.head_dim, eps=eps) if section.qk_norm else nn.Identity()

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None,
        cache: KVCache | None = None,
        same_document: Tensor | None = None,
    ) -> Tensor:
        """x: (B, T, C) -> (B, T, C)."""
        q, k, v = split_heads(
            self.qkv_proj(x), self.n_head, self.n_kv_head, self._head_norms(), rotation
        )
        if cache is not None:
            k, v = cache.append(k, v)  # (B, G, S, D)
        y = attend(
            q, k, v, window=self.window, same_document=same_document, dropout=self.dropout
        )  # (B, H, T, D)
        out: Tensor = self.out_proj(y.transpose(1, 2).flatten(2))
        return out

    def _head_norms(self) -> HeadNorms | None:
        q_norm, k_norm = self.q_norm, self.k_norm
        if not isinstance(q_norm, RMSNorm) or not isinstance(k_norm, RMSNorm):
            return None
        return HeadNorms(q_norm.weight, k_norm.weight, q_norm.eps)

    def new_cache(
        self, batch_size: int, max_length: int, *, dtype: torch.dtype, device: torch.device
    ) -> KVCache:
        return KVCache(
            batch_size, self.n_kv_head, max_length, self.head_dim, dtype=dtype, device=device
        )

    def residual_projections(self) -> Iterable[nn.Linear]:
        return (self.out_proj,)

    def fused_projections(self) -> Iterable[tuple[nn.Linear, tuple[int, ...]]]:
        heads = (self.n_head, self.n_kv_head, self.n_kv_head)
        return ((self.qkv_proj, tuple(count * self.head_dim for count in heads)),)
