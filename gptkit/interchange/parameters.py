"""The weights of a model under the names, and in the layout, of a stock class.

    ours                                  Llama, Qwen3, Arcee                  GPT-2
    token_embedding.weight                model.embed_tokens.weight            transformer.wte.weight
    blocks.0.attention.qkv_proj.weight    model.layers.0.self_attn.q_proj,     transformer.h.0.attn.c_attn
                                          k_proj and v_proj, one after          (transposed)
                                          another

One list of slots says both ways: `to_theirs` cuts and transposes, `to_ours` undoes it. Rotary
positions are half-split here and there, so that no weight is permuted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import Architecture, head_dim, num_kv_heads
from gptkit.model import GPT
from gptkit.model.config import ModelConfig


@dataclass(frozen=True)
class Slot:
    """One tensor of ours, and the tensors of theirs that hold it."""

    ours: str
    theirs: tuple[str, ...]
    """In the order in which they stand in ours, along its first dimension."""
    rows: tuple[int, ...]
    """How many rows of ours each of them is."""
    columns: tuple[int, ...]
    """The other dimensions of ours: one for a matrix, none for a vector."""
    transposed: bool = False
    """Theirs is (in, out): GPT-2's Conv1D."""
    zeros: bool = False
    """Ours has no such tensor; theirs must be 0."""


def slots(architecture: Architecture, config: ModelConfig, vocab_size: int) -> list[Slot]:
    """Return a slot for every tensor of the class, each once; a tied head is none."""
    shapes = parameter_shapes(config, vocab_size)
    names = _gpt2_names(config) if architecture.is_gpt2 else _llama_names(config)
    found = []
    for ours, theirs, transposed in names:
        if ours in shapes:
            num_rows, *columns = shapes[ours]
            rows = _rows(config, num_rows, len(theirs))
            is_transposed = transposed and ours.endswith("weight")
            found.append(Slot(ours, theirs, rows, tuple(columns), is_transposed))
        elif architecture.is_gpt2 and ours.endswith("bias"):
            # GPT-2's class always has biases; a model without them has zeros there.
            rows = (shapes[ours.removesuffix("bias") + "weight"][0],)
            found.append(Slot(ours, theirs, rows, (), zeros=True))
    assert {slot.ours for slot in found if not slot.zeros} == set(shapes)
    return found


def parameter_shapes(config: ModelConfig, vocab_size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a model's weights by name; none is made."""
    with torch.device("meta"):
        model = GPT(config, vocab_size)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def to_theirs(weights: Mapping[str, Tensor], the_slots: list[Slot]) -> dict[str, Tensor]:
    """Return the weights of a model as the class names and lays them out; each owns its memory."""
    any_weight = next(iter(weights.values()))
    tensors: dict[str, Tensor] = {}
    for slot in the_slots:
        if slot.zeros:
            tensors[slot.theirs[0]] = any_weight.new_zeros(slot.rows[0])
            continue
        parts = torch.split(weights[slot.ours], list(slot.rows))
        for name, part in zip(slot.theirs, parts, strict=True):
            tensors[name] = (part.T if slot.transposed else part).contiguous().clone()
    return tensors


def to_ours(tensors: Mapping[str, Tensor], the_slots: list[Slot]) -> dict[str, Tensor]:
    """Return float32 weights of ours; every tensor of theirs is used exactly once.

    Raises: ConfigError for a tensor that is missing, left over or of another shape.
    """
    left = dict(tensors)
    weights: dict[str, Tensor] = {}
    for slot in the_slots:
        missing = [name for name in slot.theirs if name not in left]
        if missing:
            raise ConfigError(f"the tensor '{missing[0]}' is missing")
        parts = [left.pop(name).float() for name in slot.theirs]
        if slot.transposed:
            parts = [part.T for part in parts]
        for name, part, rows in zip(slot.theirs, parts, slot.rows, strict=True):
            expected = (rows, *slot.columns)
            if part.shape != expected:
                raise ConfigError(_other_shape(name, part.shape, expected, slot.transposed))
        if slot.zeros:
            if parts[0].any():
                raise ConfigError(f"'{slot.theirs[0]}' is not 0, though the config says no biases")
            continue
        weights[slot.ours] = torch.cat(parts).contiguous()
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise ConfigError(f"the tensor '{min(left)}'{more} has no place in the model")
    return weights


def _other_shape(
    name: str, found: Sequence[int], expected: Sequence[int], is_transposed: bool
) -> str:
    order = -1 if is_transposed else 1
    shapes = tuple(found)[::order], tuple(expected)[::order]
    return f"'{name}' has the shape {shapes[0]}, and the config asks for {shapes[1]}"


Names = Iterator[tuple[str, tuple[str, ...], bool]]
"""Ours, theirs, whether theirs is transposed."""


def _llama_names(config: ModelConfig) -> Names:
    yield "token_embedding.weight", ("model.embed_tokens.weight",), False
    for i in range(config.n_layer):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        yield f"{ours}.attention_norm.weight", (f"{theirs}.input_layernorm.weight",), False
        yield f"{ours}.mlp_norm.weight", (f"{theirs}.post_attention_layernorm.weight",), False
        for kind in ("weight", "bias"):
            qkv = tuple(f"{theirs}.self_attn.{name}_proj.{kind}" for name in "qkv")
            yield f"{ours}.attention.qkv_proj.{kind}", qkv, False
            out = f"{theirs}.self_attn.o_proj.{kind}"
            yield f"{ours}.attention.out_proj.{kind}", (out,), False
            for name in ("gate_proj", "up_proj", "down_proj"):
                yield f"{ours}.mlp.{name}.{kind}", (f"{theirs}.mlp.{name}.{kind}",), False
        for name in ("q_norm", "k_norm"):
            norm = f"{theirs}.self_attn.{name}.weight"
            yield f"{ours}.attention.{name}.weight", (norm,), False
    yield "final_norm.weight", ("model.norm.weight",), False
    yield "lm_head.weight", ("lm_head.weight",), False


def _gpt2_names(config: ModelConfig) -> Names:
    yield "token_embedding.weight", ("transformer.wte.weight",), False
    yield "positions.embedding.weight", ("transformer.wpe.weight",), False
    for i in range(config.n_layer):
        for name, their_name, transposed in (
            ("attention_norm", "ln_1", False),
            ("attention.qkv_proj", "attn.c_attn", True),
            ("attention.out_proj", "attn.c_proj", True),
            ("mlp_norm", "ln_2", False),
            ("mlp.up_proj", "mlp.c_fc", True),
            ("mlp.down_proj", "mlp.c_proj", True),
        ):
            for kind in ("weight", "bias"):
                theirs = f"transformer.h.{i}.{their_name}.{kind}"
                yield f"blocks.{i}.{name}.{kind}", (theirs,), transposed
    for kind in ("weight", "bias"):
        yield f"final_norm.{kind}", (f"transformer.ln_f.{kind}",), False
    yield "lm_head.weight", ("lm_head.weight",), False


def _rows(config: ModelConfig, rows: int, parts: int) -> tuple[int, ...]:
    if parts == 1:
        return (rows,)
    heads = (config.n_head, num_kv_heads(config), num_kv_heads(config))
    return tuple(count * head_dim(config) for count in heads)
