"""A graph for ONNX runtimes, with the keys and values of earlier tokens as inputs.

    input_ids (B, T)                             ->  logits (B, T, V)
    past_key_values.0.key, .value (B, G, P, D)   ->  present.0.key, .value (B, G, P + T, D)

One graph reads a prompt (P = 0), a token (T = 1) and anything between; the outputs `present` are the
next call's inputs. The names are those of Hugging Face's optimum. float32.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gptkit.errors import ConfigError
from gptkit.interchange.architectures import head_dim, num_kv_heads, one_of, refuse_broken
from gptkit.model import GPT
from gptkit.model.attention import CausalSelfAttention
from gptkit.model.config import ModelConfig
from gptkit.model.gpt import Block
from gptkit.model.positions import Rotation, rotate

# Larger models need their weights in a second file: the format ends at 2 GiB.
_ONE_FILE_BYTES = 1_900_000_000
_OPSET = 20
_RULES = (one_of("attention.name", "multi_head"), one_of("embedding_window", 1))


def check_onnx(config: ModelConfig) -> None:
    """Make sure that a model can be written.

    Raises: ConfigError naming the settings in the way, and without the packages that it takes.
    """
    refuse_broken(config, _RULES, "ONNX")
    for package in ("onnx", "onnxscript"):
        try:
            import_module(package)
        except ImportError:
            raise ConfigError(
                f"ONNX needs the package {package}: pip install 'gptkit[onnx]'"
            ) from None


class WithPast(nn.Module):
    """A model whose cache is plain tensors that grow, as a graph needs it."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, past: list[Tensor]) -> tuple[Tensor, ...]:
        """Return the logits (B, T, V), then each layer's keys and values, old and new.

        input_ids: (B, T) int64. past: key and value of each layer in turn, (B, G, P, D).
        """
        model = self.model
        num_past, num_new = past[0].shape[2], input_ids.shape[1]
        positions = torch.arange(num_new, device=input_ids.device) + num_past
        rotation = model.positions.rotation(positions)
        x = model.positions.embed(model.token_embedding(input_ids), positions)
        present: list[Tensor] = []
        for i, block in enumerate(cast(list[Block], model.blocks)):
            attention = block.attention
            assert isinstance(attention, CausalSelfAttention)
            attended, keys, values = _attend(
                attention, block.attention_norm(x), rotation, past[2 * i], past[2 * i + 1]
            )
            x = x + attended
            x = x + block.mlp(block.mlp_norm(x))
            present += [keys, values]
        return (model.unembed(model.final_norm(x)), *present)


def write_onnx(path: Path, model: GPT) -> None:
    """Write the file `path`; a model near 2 GB gets a second one beside it, PATH.data."""
    layers = range(model.config.n_layer)
    # Sizes of 2 and more: those of 0 and 1 would be taken for constants.
    shape = (2, num_kv_heads(model.config), 3, head_dim(model.config))
    past = [torch.zeros(shape) for _ in layers for _ in ("key", "value")]
    tokens = torch.zeros(2, 2, dtype=torch.int64)
    batch, num_new, num_past = (torch.export.Dim(name) for name in ("batch", "length", "past"))
    names = [f"{i}.{part}" for i in layers for part in ("key", "value")]
    num_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            WithPast(model).eval(),
            (tokens, past),
            path,
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            external_data=num_bytes > _ONE_FILE_BYTES,
            input_names=["input_ids", *(f"past_key_values.{name}" for name in names)],
            output_names=["logits", *(f"present.{name}" for name in names)],
            dynamic_shapes=({0: batch, 1: num_new}, [{0: batch, 2: num_past} for _ in past]),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says about its own parts, and about torchvision, off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _attend(
    attention: CausalSelfAttention,
    x: Tensor,
    rotation: Rotation | None,
    past_keys: Tensor,
    past_values: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what attention adds, (B, T, C), and all keys and values so far, (B, G, P + T, D).

    It is `CausalSelfAttention.forward` without its choices by size, which a graph cannot make.
    """
    head_counts = (attention.n_head, attention.n_kv_head, attention.n_kv_head)
    heads = attention.qkv_proj(x).unflatten(-1, (-1, attention.head_dim))
    q, k, v = heads.split(head_counts, dim=2)
    q, k = attention.q_norm(q), attention.k_norm(k)
    if rotation is not None:
        q, k = rotate(q, rotation), rotate(k, rotation)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    keys, values = torch.cat((past_keys, k), dim=2), torch.cat((past_values, v), dim=2)
    groups = attention.n_head // attention.n_kv_head
    mask = _mask(past_keys.shape[2], x.shape[1], attention.window)
    y = F.scaled_dot_product_attention(
        q,
        keys.repeat_interleave(groups, dim=1),
        values.repeat_interleave(groups, dim=1),
        attn_mask=mask,
    )
    out: Tensor = attention.out_proj(y.transpose(1, 2).flatten(2))
    return out, keys, values


def _mask(num_past: int, num_new: int, window: int | None) -> Tensor:
    """Return (T, P + T) bool: whether a new position sees an old or new one."""
    keys = torch.arange(num_past + num_new)
    queries = (torch.arange(num_new) + num_past).unsqueeze(1)
    mask = keys <= queries
    return mask if window is None else mask & (keys > queries - window)


def session(path: Path) -> Any:
    """Return the file loaded in onnxruntime, which must be installed."""
    onnxruntime = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
