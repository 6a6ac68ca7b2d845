"""The decoder of gptkit's own blocks: all rows in one step, each at its own length.

    keys and values   (rows, places, 2, G, D) a layer, allocated once; token t of a row stands at place t
    mask              (rows, places): 0 where a row's next token may look, -inf elsewhere
    one step          one call where it is compiled (native/); by torch's operations, R rows are R positions of one
                      sequence to every part but attention, which gives each row its own keys

No prompt is padded. Torch's attention reads as many places as the longest row has, rounded up: what is masked
adds exactly 0, and rounded so, a row's sums are made in the same order whatever the others' lengths.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gptkit.generation.block import DecodeBlock
from gptkit.generation.graphs import Recorded
from gptkit.generation.int8 import Int8Weights
from gptkit.generation.native.model import BoundStep, native_step
from gptkit.generation.products import build_product
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.cache import KVCache
from gptkit.model.gpt import GPT, Block
from gptkit.model.lookback import tokens_read
from gptkit.model.positions import Rotation

# Sums over a multiple of this many keys come out the same, to the bit, when more masked keys follow:
# tried up to 1600 keys, for one query of a head and for several, which share its keys.
_PLACES, _PLACES_SHARED = 16, 256
_STEPS_BEFORE_RECORDING = 2
_MOST_ROWS = 64
_MOST_BYTES = 4 * 2**30


@dataclass
class _View:
    """What a step works on, for a number of rows and places."""

    num_rows: int
    num_places: int
    keys: list[Tensor]
    """(R, G, S, D) of each layer."""
    values: list[Tensor]
    mask: Tensor
    """(R, 1, 1, S)."""
    uses: int = 0
    recorded: Recorded | None = None
    """The step on a GPU, once it has been used a few times."""


class RowDecoder:
    """Rows of a model whose attention and MLP are gptkit's own."""

    def __init__(self, model: GPT, int8: Int8Weights) -> None:
        blocks = [cast(Block, block) for block in model.blocks]
        head = model.head_weight
        self._model = model
        self._attention = cast(CausalSelfAttention, blocks[0].attention)
        self._native = native_step(model, int8)
        self._compiled: BoundStep | None = None
        self._blocks: list[DecodeBlock] = []
        if self._native is None:
            self._blocks = [DecodeBlock(block, int8) for block in blocks]
            self._head = build_product(head, int8=int8.get(id(head)))
        shared = self._attention.n_kv_head < self._attention.n_head
        self._granularity = _PLACES_SHARED if shared else _PLACES
        if model.token_embedding.weight.is_cuda:
            self._granularity = _PLACES_SHARED  # a change of size has to be recorded again
        self._capacity = self._rounded(model.config.context_length)
        self._max_rows = 0
        self._lengths: list[int] = []
        self._view: _View | None = None

    @property
    def num_rows(self) -> int:
        return len(self._lengths)

    def twin(self) -> RowDecoder:
        twin = copy.copy(self)
        twin._max_rows, twin._lengths, twin._view = 0, [], None
        return twin

    @torch.inference_mode()
    def start(self, num_rows: int) -> int:
        self._lengths = []
        row_shape = (self._capacity, 2, self._attention.n_kv_head, self._attention.head_dim)
        weight = self._model.token_embedding.weight
        row_bytes = math.prod(row_shape) * weight.itemsize * len(self._model.blocks)
        num_rows = max(1, min(num_rows, _MOST_ROWS, _MOST_BYTES // row_bytes))
        if num_rows <= self._max_rows:
            return num_rows
        self._max_rows = num_rows
        # Zeros, since a masked NaN is still a NaN; untouched pages of them take no memory on a CPU.
        self._kv = [weight.new_zeros(num_rows, *row_shape) for _ in self._model.blocks]
        self._places_of_kv = [kv.flatten(0, 1).flatten(1) for kv in self._kv]
        self._nowhere = num_rows * self._capacity
        # One place more, to write what is to have no effect.
        self._mask = weight.new_full((self._nowhere + 1,), -torch.inf)
        self._positions = torch.zeros(num_rows, dtype=torch.int64, device=weight.device)
        self._places = torch.zeros_like(self._positions)
        self._recent = self._positions.new_zeros((num_rows, tokens_read(self._model.config) + 1))
        if self._native is not None:
            self._compiled = self._native.bind(self._positions, self._kv)
        self._view = None
        return num_rows

    @torch.inference_mode()
    def add(self, tokens: Sequence[int], *, as_row: int | None = None) -> Tensor | None:
        row = self.num_rows
        self._lengths.append(0)
        if as_row is None:
            hidden = self._read(row, tokens)
            return None if hidden is None else self._model.unembed(hidden[:, -1]).float()
        for kv in self._kv:
            kv[row, : len(tokens)] = kv[as_row, : len(tokens)]
        self._remember(row, tokens)
        return None

    @torch.inference_mode()
    def extend(self, row: int, tokens: Sequence[int]) -> None:
        self._read(row, tokens)

    def _read(self, row: int, tokens: Sequence[int]) -> Tensor | None:
        """Read more tokens in a row; return their hidden vectors, (1, T, C), if there are any."""
        hidden = None
        start, end = self._lengths[row], self._lengths[row] + len(tokens)
        if tokens:
            cache = self._model.new_cache(1, end)
            layers = [cast(KVCache, layer) for layer in cache.layers]
            for layer, kv in zip(layers, self._kv, strict=True):
                keys, values = kv[row : row + 1, :start].permute(2, 0, 3, 1, 4)
                layer.append(keys, values)
            if start:
                cache.recent.append(self._recent[row : row + 1, -start:])
            hidden = self._model.hidden(self._positions.new_tensor([tokens]), cache)
            for layer, kv in zip(layers, self._kv, strict=True):
                kv[row, start:end, 0] = layer.keys[0, :, start:].transpose(0, 1)
                kv[row, start:end, 1] = layer.values[0, :, start:].transpose(0, 1)
        self._remember(row, tokens)
        return hidden

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        self._lengths[row] = 0
        self._place(row)

    @torch.inference_mode()
    def drop(self, row: int) -> None:
        last = self.num_rows - 1
        if row != last:
            length = self._lengths[last]
            for kv in self._kv:
                kv[row, :length] = kv[last, :length]
            self._recent[row] = self._recent[last]
            self._lengths[row] = length
            self._place(row)
        self._lengths.pop()

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Tensor:
        ids = self._positions.new_tensor(tokens)
        if self._compiled is not None:
            return self._step_at_once(ids, self._compiled)
        view = self._view_of(self.num_rows, self._rounded(max(self._lengths) + 1))
        view.uses += 1
        if ids.is_cuda and view.recorded is None and view.uses > _STEPS_BEFORE_RECORDING:
            view.recorded = self._record(ids, view)
        logits = self._step(ids, view) if view.recorded is None else view.recorded(ids)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _step_at_once(self, tokens: Tensor, step: BoundStep) -> Tensor:
        x = None
        if self._recent.shape[1] > 1:
            x = self._embed(tokens, self._positions[: len(tokens)]).float().contiguous()
        logits = step(tokens, x)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _step(self, tokens: Tensor, view: _View) -> Tensor:
        num_rows = len(tokens)
        positions, places = self._positions[:num_rows], self._places[:num_rows]
        x = self._embed(tokens, positions)
        rotation = self._model.positions.rotation(positions)
        if rotation is not None:
            rotation = Rotation(rotation.cos.to(x.dtype), rotation.sin.to(x.dtype))
        window = self._attention.window
        if window is not None:
            left = torch.where(positions >= window, places - window, self._nowhere)
            self._mask.index_fill_(0, left, -torch.inf)
        self._mask.index_fill_(0, places, 0.0)
        for block, kv, keys, values in zip(
            self._blocks, self._places_of_kv, view.keys, view.values, strict=True
        ):
            x = block(x, rotation, kv, places, keys, values, view.mask)
        logits = self._head(self._model.final_norm(x)).float()
        positions.add_(1)
        places.add_(1)
        if self._model.logit_softcap is None:
            return logits
        # float64: in float32 the last few of all elements would be rounded in another way.
        return self._model.soft_capped(logits.double()).float()

    def _embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Return what each row's new token starts from, (R, C)."""
        recent = self._recent[: len(tokens)]
        model = self._model
        if recent.shape[1] == 1:
            x: Tensor = F.embedding(tokens, model.token_embedding.weight)
        else:
            recent.copy_(torch.cat((recent[:, 1:], tokens.unsqueeze(1)), dim=1))
            before = torch.arange(1 - recent.shape[1], 1, device=tokens.device)
            x = model.look_back(
                model.token_embedding(recent), recent, positions.unsqueeze(1) + before
            )[:, -1]
        return model.positions.embed(x, positions)

    def _record(self, ids: Tensor, view: _View) -> Recorded:
        positions, places = self._positions[: len(ids)], self._places[: len(ids)]
        recent = self._recent.clone()

        def undo() -> None:
            positions.sub_(1)
            places.sub_(1)
            self._recent.copy_(recent)

        return Recorded(lambda tokens: self._step(tokens, view), ids, undo)

    def _view_of(self, num_rows: int, num_places: int) -> _View:
        view = self._view
        if view is None or (view.num_rows, view.num_places) != (num_rows, num_places):
            used = [kv[:num_rows, :num_places].permute(2, 0, 3, 1, 4) for kv in self._kv]
            mask = self._mask[: self._nowhere].view(self._max_rows, 1, 1, self._capacity)
            self._view = view = _View(
                num_rows,
                num_places,
                [keys for keys, _ in used],
                [values for _, values in used],
                mask[:num_rows, :, :, :num_places],
            )
        return view

    def _rounded(self, num_places: int) -> int:
        return -(-num_places // self._granularity) * self._granularity

    def _remember(self, row: int, tokens: Sequence[int]) -> None:
        """Count tokens that a row has got, behind those it had."""
        self._lengths[row] += len(tokens)
        count = self._recent.shape[1]
        recent = torch.cat((self._recent[row], self._recent.new_tensor(tokens[-count:])))
        self._recent[row] = recent[-count:]
        self._place(row)

    def _place(self, row: int) -> None:
        """Let a row's next token come behind those that it has, and see them."""
        length, first = self._lengths[row], row * self._capacity
        self._positions[row] = length
        self._places[row] = first + length
        self._mask[first : first + self._capacity] = -torch.inf
        window = self._attention.window
        start = 0 if window is None else max(0, length - window)
        self._mask[first + start : first + length] = 0.0
