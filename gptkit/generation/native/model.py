"""A model as the compiled step sees it: pointers to its weights, in the structures of step.cpp."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from gptkit.generation.int8 import Int8Weights
from gptkit.generation.native import STEP
from gptkit.model.activations import silu_gate
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.gpt import GPT, Block
from gptkit.model.mlp import MLP, SwiGLU
from gptkit.model.native.parts import KINDS
from gptkit.model.norm import RMSNorm
from gptkit.model.positions import (
    LearnedPositions,
    NoPositions,
    RotaryPositions,
    SinusoidalPositions,
)
from gptkit.native.build import library

_KINDS = {**KINDS, torch.int8: 2}
_POSITIONS = (NoPositions, RotaryPositions, LearnedPositions, SinusoidalPositions)
_ROWS_OF_A_GROUP, _ALIGNMENT = 16, 16


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("rows", ctypes.c_int32),
        ("cols", ctypes.c_int32),
    )


class _Norm(ctypes.Structure):
    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("eps", ctypes.c_float),
        ("centred", ctypes.c_int32),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        ("attention_norm", _Norm),
        ("qkv", _Matrix),
        ("out", _Matrix),
        ("heads_norm", ctypes.c_void_p),
        ("mlp_norm", _Norm),
        ("up", _Matrix),
        ("gate", _Matrix),
        ("down", _Matrix),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        ("n_layer", ctypes.c_int32),
        ("n_head", ctypes.c_int32),
        ("n_kv_head", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("window", ctypes.c_int32),
        ("activation", ctypes.c_int32),
        ("kind", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("embedding_kind", ctypes.c_int32),
        ("heads_eps", ctypes.c_float),
        ("softcap", ctypes.c_float),
        ("embedding", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("angles", ctypes.c_void_p),
        ("layers", ctypes.POINTER(_Layer)),
        ("final_norm", _Norm),
        ("head", _Matrix),
    )


class _Call(ctypes.Structure):
    _fields_ = (
        ("num_rows", ctypes.c_int64),
        ("row_stride", ctypes.c_int64),
        ("num_scores", ctypes.c_int64),
        ("positions", ctypes.c_void_p),
        ("tokens", ctypes.c_void_p),
        ("x", ctypes.c_void_p),
        ("caches", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("scores", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
    )


def native_step(model: GPT, int8: Int8Weights) -> NativeStep | None:
    """Return the compiled step of a model whose parts are gptkit's own; None: torch has to do it."""
    weight = model.token_embedding.weight
    if not weight.is_cpu or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    if type(model.positions) not in _POSITIONS:
        return None
    found = library(STEP)
    return None if isinstance(found, str) else NativeStep(found, model, int8)


class BoundStep:
    """One token for each row, through all blocks and the head: keys and values stay where they are."""

    def __init__(
        self, step: Callable[[], None], call: _Call, vocab_size: int, kept: tuple[object, ...]
    ) -> None:
        """kept: what the pointers of `call` point to."""
        self._step, self._call, self._vocab_size, self._kept = step, call, vocab_size, kept

    def __call__(self, tokens: Tensor, x: Tensor | None = None) -> Tensor:
        """tokens: (R,) -> logits (R, V).

        x: (R, C) float32, what they start from, if that is more than embedding and position; overwritten.
        """
        logits = torch.empty(len(tokens), self._vocab_size)
        call = self._call
        call.num_rows, call.tokens, call.logits = len(tokens), tokens.data_ptr(), logits.data_ptr()
        call.x = None if x is None else x.data_ptr()
        self._step()
        return logits


class NativeStep:
    """A model for the compiled step; the weights stay where they are."""

    def __init__(self, library: ctypes.CDLL, model: GPT, int8: Int8Weights) -> None:
        self._step = library.gptkit_step
        self._step.restype = None
        self._step.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        self._kept: list[Tensor] = []
        """What the pointers point to."""
        self._int8 = int8
        self._vocab_size = model.vocab_size
        self._context_length = model.config.context_length
        blocks = [cast(Block, block) for block in model.blocks]
        part, mlp = cast(CausalSelfAttention, blocks[0].attention), blocks[0].mlp
        self._layers = (_Layer * len(blocks))(*map(self._layer, blocks))
        angles, places = None, None
        match model.positions:
            case RotaryPositions() as positions:
                angles = positions.angles.rows
            case LearnedPositions() as positions:
                places = positions.embedding.weight
            case SinusoidalPositions() as positions:
                places = positions.sinusoids.rows
        self._model = _Model(
            n_layer=len(blocks),
            n_head=part.n_head,
            n_kv_head=part.n_kv_head,
            head_dim=part.head_dim,
            window=part.window or 0,
            activation=(silu_gate if isinstance(mlp, SwiGLU) else cast(MLP, mlp).activation).number,
            kind=_KINDS[torch.int8 if int8 else model.head_weight.dtype],
            threads=torch.get_num_threads(),
            embedding_kind=_KINDS[model.token_embedding.weight.dtype],
            heads_eps=part.q_norm.eps if isinstance(part.q_norm, RMSNorm) else 0.0,
            softcap=model.logit_softcap or 0.0,
            embedding=self._kept_values(model.token_embedding.weight),
            places=self._vector(places),
            angles=self._vector(angles),
            layers=self._layers,
            final_norm=self._norm(model.final_norm),
            head=self._matrix(model.head_weight, None),
        )
        layer = self._layers[0]
        self._inputs = (layer.qkv.cols, layer.out.cols, layer.down.cols)
        self._outputs = (layer.qkv.rows, layer.down.cols if layer.gate.weight else 0)

    def bind(self, positions: Tensor, caches: Sequence[Tensor]) -> BoundStep:
        """Return the step of up to so many rows as there are positions.

        positions: (rows,) int64, where each row's new token stands; one further after a step.
        caches: (rows, places, 2, G, D) of each layer.
        """
        scratch = torch.empty(self._scratch_size(len(positions)))
        scores = torch.empty(self._model.threads, self._context_length)
        pointers = (ctypes.c_void_p * len(caches))(*(cache.data_ptr() for cache in caches))
        call = _Call(
            row_stride=caches[0].stride(0),
            num_scores=self._context_length,
            positions=positions.data_ptr(),
            caches=ctypes.addressof(pointers),
            scratch=scratch.data_ptr(),
            scores=scores.data_ptr(),
        )
        kept = (self, positions, *caches, scratch, scores, pointers)
        step = partial(self._step, ctypes.addressof(self._model), ctypes.addressof(call))
        return BoundStep(step, call, self._vocab_size, kept)

    def _scratch_size(self, num_rows: int) -> int:
        """Return the numbers that step.cpp's `Room` hands out."""
        groups = -(-num_rows // _ROWS_OF_A_GROUP)
        parts = [num_rows * cols for cols in (*self._inputs, *self._outputs, self._inputs[0])]
        parts += [groups * _ROWS_OF_A_GROUP * (cols // 2) for cols in self._inputs]
        return sum(-(-part // _ALIGNMENT) * _ALIGNMENT for part in parts)

    def _layer(self, block: Block) -> _Layer:
        part, mlp = cast(CausalSelfAttention, block.attention), block.mlp
        heads_norm = None
        if isinstance(part.q_norm, RMSNorm) and isinstance(part.k_norm, RMSNorm):
            q_weight = part.q_norm.weight.expand(part.n_head, -1)
            k_weight = part.k_norm.weight.expand(part.n_kv_head, -1)
            heads_norm = self._vector(torch.cat((q_weight, k_weight)))
        assert isinstance(mlp, MLP | SwiGLU)
        return _Layer(
            attention_norm=self._norm(block.attention_norm),
            qkv=self._linear(part.qkv_proj),
            out=self._linear(part.out_proj),
            heads_norm=heads_norm,
            mlp_norm=self._norm(block.mlp_norm),
            up=self._linear(mlp.up_proj),
            gate=self._linear(mlp.gate_proj) if isinstance(mlp, SwiGLU) else _Matrix(),
            down=self._linear(mlp.down_proj),
        )

    def _norm(self, norm: nn.Module) -> _Norm:
        assert isinstance(norm, RMSNorm | nn.LayerNorm)
        bias = norm.bias if isinstance(norm, nn.LayerNorm) else None
        centred = isinstance(norm, nn.LayerNorm)
        return _Norm(self._vector(norm.weight), self._vector(bias), norm.eps, centred)

    def _linear(self, layer: nn.Linear) -> _Matrix:
        return self._matrix(layer.weight, layer.bias)

    def _matrix(self, weight: Tensor, bias: Tensor | None) -> _Matrix:
        int8 = self._int8.get(id(weight))
        values = self._kept_values(weight if int8 is None else int8.values)
        scales = None if int8 is None else self._vector(int8.scales)
        return _Matrix(values, scales, self._vector(bias), *weight.shape)

    def _vector(self, values: Tensor | None) -> int | None:
        return None if values is None else self._kept_values(values.float())

    def _kept_values(self, values: Tensor) -> int:
        values = values.detach().contiguous()
        self._kept.append(values)
        return values.data_ptr()
