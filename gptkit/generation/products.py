"""Products of a few rows with a constant matrix, the fastest way this machine has: y = x W^T + b.

    float32, bfloat16   a matrix that oneDNN has packed: 1.3 to 2 times as fast as the plain one for few rows
    int8                eight bits a weight and one scale an output channel, multiplied in bfloat16
    anything else       the plain product, on CPUs in tiles of a fixed number of rows

On a CPU a row's result must not depend on how many rows there are: libraries choose another order of
summation for another number of rows, and a sample would change with its neighbours. A way that does not
keep this here, for this shape, is not taken; the last one keeps it by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptkit.generation.int8 import Int8Weight

Product = Callable[[Tensor], Tensor]
"""x: (R, I) -> (R, O)."""

_TILE = 8
_MANY_ROWS = 33
# oneDNN chooses the layout by the number of rows it is told. With these two the results do not
# depend on the number that comes (float32: from two rows on), which others do not give.
_ROWS_TOLD = {torch.float32: 4, torch.bfloat16: 1}

_verdicts: dict[tuple[object, ...], bool] = {}


def build_product(
    weight: Tensor, bias: Tensor | None = None, int8: Int8Weight | None = None
) -> Product:
    """Return the product with `weight` (O, I), or with `int8` in its place, and `bias` (O,)."""
    if weight.device.type != "cpu":
        return partial(F.linear, weight=weight, bias=bias)
    for product in _fast_products(weight, bias, int8):
        key = (product.func, weight.shape, weight.dtype, torch.get_num_threads())
        if key not in _verdicts:
            _verdicts[key] = rows_are_independent(product, weight)
        if _verdicts[key]:
            return product
    return partial(in_tiles, weight=weight, bias=bias)


class ProductLayer(nn.Module):
    """A product in the place of a linear layer."""

    def __init__(self, product: Product) -> None:
        super().__init__()
        self.forward = product

    def __call__(self, x: Tensor) -> Tensor:
        # Without the detour over hooks, which costs as much as a small operation.
        y: Tensor = self.forward(x)
        return y


def in_tiles(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply a fixed number of rows at a time: slower, but a row's result depends on nothing else."""
    num_rows = x.shape[0]
    padded = F.pad(x, (0, 0, 0, -num_rows % _TILE))
    tiles = [F.linear(tile, weight, bias) for tile in torch.split(padded, _TILE)]
    return torch.cat(tiles)[:num_rows] if len(tiles) > 1 else tiles[0][:num_rows]


def rows_are_independent(product: Product, weight: Tensor) -> bool:
    """Whether a row comes out the same, to the bit, among any number of rows. Tried, not believed."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_MANY_ROWS, weight.shape[1], generator=generator).to(weight.dtype)
    try:
        together = product(x)
        return all(torch.equal(product(x[:n]), together[:n]) for n in (1, 2, 3, 4, 8, 16, 17))
    except RuntimeError:  # a private operator of another torch, or one that this CPU lacks
        return False


def _fast_products(
    weight: Tensor, bias: Tensor | None, int8: Int8Weight | None
) -> Iterator[partial[Tensor]]:
    if int8 is not None:
        yield partial(_int8_product, values=int8.values, scales=int8.scales, bias=bias)
    if weight.dtype in _ROWS_TOLD:
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(
                weight.contiguous(), _ROWS_TOLD[weight.dtype]
            )
        except (AttributeError, RuntimeError):  # a torch without oneDNN, or a CPU without the type
            return
        run = _packed_pair if weight.dtype == torch.float32 else _packed
        yield partial(run, packed=packed, bias=bias)


def _packed(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
    return y


def _packed_pair(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """The packed product of two rows at least: that of one is rounded in another way."""
    return _packed(x, packed, bias) if len(x) > 1 else _packed(torch.cat((x, x)), packed, bias)[:1]


def _int8_product(x: Tensor, values: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    y = torch._weight_int8pack_mm(x.contiguous(), values, scales)
    return y if bias is None else y.add_(bias)
