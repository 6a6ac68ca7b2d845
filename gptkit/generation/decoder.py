"""What has been read, row by row, and one more token for each row: all that decoding needs.

    start(rows)          room for so many rows, none in use
    add(tokens)          a new row: its tokens go through the model at once, their keys and values stay
                         -> the logits of the next
    extend(row, tokens)  more tokens for a row; clear(row) forgets those it has
    step(tokens)         one token for every row -> the logits of the next
    drop(row)            the last row takes its place

`RowDecoder` (gptkit/generation/rows.py) does this for all rows together, at their own lengths; it knows
gptkit's own blocks. `PlainDecoder` asks nothing of a model but its forward: for attention of a plugin
and for the models below GPT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from gptkit.generation.int8 import Int8Weights
from gptkit.generation.rows import RowDecoder
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.cache import Cache
from gptkit.model.gpt import GPT, Block
from gptkit.model.mlp import MLP, SwiGLU


class Decoder(Protocol):
    """Rows of tokens that a model has read. On a CPU no row's logits depend on the other rows."""

    @property
    def num_rows(self) -> int:
        """Rows in use."""

    def twin(self) -> Decoder:
        """Return a decoder with rows of its own, made ready without the work."""

    def start(self, num_rows: int) -> int:
        """Forget all rows and make room for `num_rows`; return for how many there is room."""

    def add(self, tokens: Sequence[int], *, as_row: int | None = None) -> Tensor | None:
        """Read tokens into a new row, the last; return the logits of the next, (1, V) float32.

        There may be no tokens, and then no logits. as_row: a row that read exactly these when it was
        added: they are copied from there, and the logits are not made again.
        """

    def extend(self, row: int, tokens: Sequence[int]) -> None:
        """Read more tokens in a row."""

    def clear(self, row: int) -> None:
        """Forget the tokens of a row."""

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one token in each row; return the logits of those that follow, (R, V) float32."""

    def drop(self, row: int) -> None:
        """Take a row away; the last one takes its place."""


def build_decoder(model: GPT, int8: Int8Weights | None = None) -> Decoder:
    """Return the fastest decoder that knows the model's parts."""
    if not isinstance(model, GPT):  # a lower rung of the ladder
        return PlainDecoder(model)
    blocks = [cast(Block, block) for block in model.blocks]
    known = all(
        type(block.attention) is CausalSelfAttention and type(block.mlp) in (MLP, SwiGLU)
        for block in blocks
    )
    return RowDecoder(model, int8 or {}) if known else PlainDecoder(model)


class PlainDecoder:
    """Each row by itself, through the model's own forward and its own caches."""

    def __init__(self, model: GPT) -> None:
        self._model = model
        self._caches: list[Cache] = []

    @property
    def num_rows(self) -> int:
        return len(self._caches)

    def twin(self) -> PlainDecoder:
        return PlainDecoder(self._model)

    def start(self, num_rows: int) -> int:
        self._caches = []
        return num_rows

    @torch.inference_mode()
    def add(self, tokens: Sequence[int], *, as_row: int | None = None) -> Tensor | None:
        if as_row is not None and self._caches[as_row].length == len(tokens):
            self._caches.append(self._caches[as_row].repeat(1))
            return None
        self._caches.append(self._new_cache())
        if not tokens:
            return None
        hidden = self._model.hidden(self._tensor(tokens), self._caches[-1])
        return self._model.unembed(hidden[:, -1]).float()

    @torch.inference_mode()
    def extend(self, row: int, tokens: Sequence[int]) -> None:
        if tokens:
            self._model.hidden(self._tensor(tokens), self._caches[row])

    def clear(self, row: int) -> None:
        self._caches[row] = self._new_cache()

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Tensor:
        rows = [
            self._model(self._tensor([token]), cache)[:, -1]
            for token, cache in zip(tokens, self._caches, strict=True)
        ]
        return torch.cat(rows).float()

    def drop(self, row: int) -> None:
        self._caches[row] = self._caches[-1]
        self._caches.pop()

    def _new_cache(self) -> Cache:
        return self._model.new_cache(1, self._model.config.context_length)

    def _tensor(self, tokens: Sequence[int]) -> Tensor:
        return torch.tensor([list(tokens)], device=self._model.token_embedding.weight.device)
