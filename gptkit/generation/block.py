"""One block of the transformer, for one token of each row: `Block` of gptkit/model/gpt.py, with T = 1."""

from __future__ import annotations

import copy
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from gptkit.generation.int8 import Int8Weights
from gptkit.generation.products import Product, ProductLayer, build_product
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.gpt import Block
from gptkit.model.positions import Rotation, rotate


class DecodeBlock:
    """A block with gptkit's own attention: matrices made ready for few rows, norms as they are."""

    def __init__(self, block: Block, int8: Int8Weights) -> None:
        self.attention = cast(CausalSelfAttention, block.attention)
        self._attention_norm, self._mlp_norm = block.attention_norm, block.mlp_norm
        self._qkv_product = _product(self.attention.qkv_proj, int8)
        self._out_product = _product(self.attention.out_proj, int8)
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
        heads = self._qkv_product(self._attention_norm(x)).view(num_rows, -1, head_dim)
        q = heads[:, : part.n_head]
        if rotation is not None or not isinstance(part.q_norm, nn.Identity):
            k = heads[:, part.n_head : part.n_head + num_groups]
            q, k_turned = part.q_norm(q), part.k_norm(k)
            if rotation is not None:
                q, k_turned = rotate(q, rotation), rotate(k_turned, rotation)
            k.copy_(k_turned)
        kv.index_copy_(0, places, heads[:, part.n_head :].flatten(1))
        # The query heads that share keys are the queries of one head: no copies of keys.
        q = q.reshape(num_rows, num_groups, -1, head_dim)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + self._out_product(y.reshape(num_rows, -1))
        added: Tensor = x + self._mlp(self._mlp_norm(x))
        return added


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
