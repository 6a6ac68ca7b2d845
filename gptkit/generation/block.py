"""One block of the transformer, for one token of each row: `Block` of gptkit/model/gpt.py, with T = 1.

For GPUs, and for CPUs where gptkit/generation/native has not been compiled.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptkit.generation.int8 import Int8Weights
from gptkit.generation.products import Product, ProductLayer, build_product
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.gpt import Block
from gptkit.model.norm import RMSNorm, norm_heads
from gptkit.model.positions import Rotation, rotate


class DecodeBlock:
    """A block with gptkit's own attention: matrices made ready for few rows, norms as they are."""

    def __init__(self, block: Block, int8: Int8Weights) -> None:
        self.attention = cast(CausalSelfAttention, block.attention)
        self._attention_norm, self._mlp_norm = block.attention_norm, block.mlp_norm
        self._qkv_product = _product(self.attention.qkv_proj, int8)
        self._out_product = _product(self.attention.out_proj, int8)
        self._norm_weights: Tensor | None = None
        q_norm, k_norm = self.attention.q_norm, self.attention.k_norm
        if isinstance(q_norm, RMSNorm) and isinstance(k_norm, RMSNorm):
            q_weight = q_norm.weight.detach().expand(self.attention.n_head, -1)
            k_weight = k_norm.weight.detach().expand(self.attention.n_kv_head, -1)
            self._norm_weights, self._eps = torch.cat((q_weight, k_weight)), q_norm.eps
        self._mlp = with_products(block.mlp, int8)

    def __call__(
        self,
        x: Tensor,
        rotation: Rotation | None,
        kv: Tensor,
        places: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """x: (R, C), one token of each row -> (R, C).

        kv: (rows * places, 2 G D), this layer's keys and values, written at `places` (R,).
        keys, values: (R, G, S, D), the part of them to attend to, with mask (R, 1, 1, S).
        """
        part = self.attention
        num_rows, num_groups, _, head_dim = keys.shape
        qkv = self._qkv_product(self._attention_norm.forward(x))
        width = part.n_head * head_dim
        q, kv_new = qkv[:, :width], qkv[:, width:]
        if rotation is not None or self._norm_weights is not None:
            q = self._turn(qkv.view(num_rows, -1, head_dim), rotation)
        kv.index_copy_(0, places, kv_new)
        # The query heads that share keys are the queries of one head: no copies of keys.
        q = q.reshape(num_rows, num_groups, -1, head_dim)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + self._out_product(y.reshape(num_rows, width))
        # forward, not the call: hooks cost as much as a small operation.
        x.add_(self._mlp.forward(self._mlp_norm.forward(x)))
        return x

    def _turn(self, heads: Tensor, rotation: Rotation | None) -> Tensor:
        """Normalise and turn the keys in place, and return the queries so: (R, H + 2 G, D) -> (R, H, D)."""
        part = self.attention
        num_turned = part.n_head + part.n_kv_head
        turned = heads[:, :num_turned]
        if self._norm_weights is not None:
            turned = norm_heads(turned, self._norm_weights, self._eps)
        if rotation is not None:
            turned = rotate(turned, rotation)
        heads[:, part.n_head : num_turned] = turned[:, part.n_head :]
        return turned[:, : part.n_head]


def with_products(module: nn.Module, int8: Int8Weights) -> nn.Module:
    """Return a module that shares all with `module` but its linear layers, which are made ready."""
    twin = copy.copy(module)
    twin._modules = {
        name: ProductLayer(_product(child, int8)) if isinstance(child, nn.Linear) else child
        for name, child in module._modules.items()
    }
    return twin


def _product(layer: nn.Module, int8: Int8Weights) -> Product:
    assert isinstance(layer, nn.Linear)
    return build_product(layer.weight, layer.bias, int8.get(id(layer.weight)))
