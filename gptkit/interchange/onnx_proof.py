"""Does an ONNX graph compute what the model does? onnx checks its form, onnxruntime runs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gptkit.interchange.extras import why_missing
from gptkit.interchange.hf_proof import logits_of
from gptkit.interchange.onnx import session
from gptkit.interchange.probes import probe_tokens
from gptkit.interchange.proof import Comparison, ProofError, compare_logits
from gptkit.model import GPT

TOLERANCE = 1e-4


def check_form(path: Path) -> list[Comparison]:
    """Have the package onnx check the graph.

    Raises: ProofError when it is not well-formed.
    """
    onnx = import_module("onnx")
    try:
        onnx.checker.check_model(str(path))
    except Exception as error:  # its own, one class for each part of the format
        raise ProofError(f"the export is wrong and was not kept: {str(error)[:300]}") from error
    return [Comparison(f"onnx {onnx.__version__}: problems of the graph", "1 file", 0, 0)]


def with_onnxruntime(path: Path, model: GPT) -> list[Comparison] | None:
    """Compare a file with what onnxruntime makes of it; None where that cannot be used."""
    if why_missing("onnxruntime") is not None:
        return None
    name = f"onnxruntime {import_module('onnxruntime').__version__}"
    opened = session(path)
    tokens = probe_tokens(model.vocab_size, model.config.context_length, rows=3)
    length = tokens.shape[1]
    ours = logits_of(model, tokens)
    ways = {
        "empty past": [length],
        "one token at a time": [1] * length,
        "chunks": _chunks(length),
    }
    comparisons = [
        compare_logits(
            f"{name}: log-probabilities, {what}",
            ours,
            run_in_parts(opened, tokens, parts),
            tolerance=TOLERANCE,
        )
        for what, parts in ways.items()
    ]
    alone = run_in_parts(opened, tokens[:1], [length])
    return [
        *comparisons,
        compare_logits(f"{name}: log-probabilities, one row", ours[:1], alone, tolerance=TOLERANCE),
    ]


def run_in_parts(opened: Any, tokens: Tensor, parts: Sequence[int]) -> Tensor:
    """Return the (B, T, V) logits of tokens that are read in parts of these lengths."""
    inputs = {entry.name: entry.shape for entry in opened.get_inputs()}
    past = {
        name: np.zeros((len(tokens), shape[1], 0, shape[3]), dtype=np.float32)
        for name, shape in inputs.items()
        if name != "input_ids"
    }
    logits = []
    for part in torch.split(tokens, list(parts), dim=1):
        out, *present = opened.run(None, {"input_ids": part.numpy(), **past})
        logits.append(torch.from_numpy(out))
        past = dict(zip(past, present, strict=True))
    return torch.cat(logits, dim=1)


def _chunks(length: int) -> list[int]:
    """Return lengths that are not all the same: 5, 3, 1, 5, ..."""
    found: list[int] = []
    while sum(found) < length:
        found.append(min((5, 3, 1)[len(found) % 3], length - sum(found)))
    return found
