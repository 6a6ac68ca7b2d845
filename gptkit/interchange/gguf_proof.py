"""Is a GGUF file the model that it was written from? The package gguf reads it back; llama.cpp computes with it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gptkit.interchange.extras import why_missing
from gptkit.interchange.gguf import gguf_architecture, gguf_tensors, require_gguf
from gptkit.interchange.gguf_tokenizer import num_tokens
from gptkit.interchange.probes import probe_texts, probe_tokens
from gptkit.interchange.proof import Comparison, ProofError, allowance, compare_tensors
from gptkit.model import GPT
from gptkit.tokenizers.base import Tokenizer

TOLERANCES = {"f32": 1e-2, "f16": 1e-2, "bf16": 0.1, "q8_0": 0.1}
"""For log-probabilities: llama.cpp keeps keys and values in float16, and rounds what enters a product to the
format of the matrix: to eight bits of mantissa or fewer with the last two."""
_TOP = 50
_PROMPTS = 20
_SECONDS = 600
# Run and not imported: without xllamacpp it cannot be.
_CHILD = Path(__file__).with_name("llama_child.py")


def read_back(path: Path, model: GPT, tokenizer: Tokenizer) -> list[Comparison]:
    """Compare a file with what the package gguf reads from it.

    model: with the weights as the file's number format holds them.
    """
    gguf = require_gguf()
    reader = gguf.GGUFReader(path)
    found = {
        tensor.name: torch.from_numpy(
            gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()
        )
        for tensor in reader.tensors
    }
    weights = dict(model.state_dict())
    architecture = gguf_architecture(model.config)
    expected = {
        name: torch.from_numpy(np.array(data))
        for name, data in gguf_tensors(architecture, model.config, weights, tokenizer)
    }
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    rows = len(found["token_embd.weight"])
    return [
        compare_tensors("read back: weights", expected, found),
        Comparison("read back: rows without a token", f"{rows:,} rows", abs(rows - len(tokens)), 0),
    ]


def with_llama_cpp(
    path: Path, model: GPT, tokenizer: Tokenizer, *, tolerance: float
) -> list[Comparison] | None:
    """Compare a file with what llama.cpp makes of it; None where xllamacpp cannot be used.

    model: with the weights as the file's number format holds them, in float32.
    """
    if why_missing("xllamacpp", apart=True) is not None:
        return None
    name = f"llama.cpp (xllamacpp {version('xllamacpp')})"
    texts = probe_texts(tokenizer)
    tokens = probe_tokens(num_tokens(tokenizer), model.config.context_length, rows=_PROMPTS)
    longest = max(1, tokens.shape[1] - 1)
    prompts = [row[: 1 + i * longest // _PROMPTS].tolist() for i, row in enumerate(tokens)]
    answer = ask_llama_cpp(path, prompts, texts, tokenizer)
    expected = [_log_probabilities(model, prompt, tokenizer) for prompt in prompts]
    wrong = sum(
        tokenizer.encode(text) != ids for text, ids in zip(texts, answer["tokens"], strict=True)
    )
    largest = max(
        _largest(ours, theirs)
        for (ours, _), theirs in zip(expected, answer["logprobs"], strict=True)
    )
    allowed = allowance(tolerance, max(size for _, size in expected))
    what = f"{name}: top-{_TOP} log-probabilities"
    return [
        Comparison(what, f"{len(prompts)} prompts", largest, allowed),
        Comparison(f"{name}: tokenizer", f"{len(texts):,} texts", wrong, 0),
    ]


def ask_llama_cpp(
    path: Path, prompts: list[list[int]], texts: list[str], tokenizer: Tokenizer
) -> dict[str, Any]:
    """Return {"logprobs", "tokens"} of llama.cpp: see llama_child.py.

    Raises: ProofError when it does not load the file.
    """
    request, answer = path.with_suffix(".request.json"), path.with_suffix(".answer.json")
    content = {
        "prompts": prompts,
        "texts": texts,
        "top": min(2 * _TOP, num_tokens(tokenizer)),
        "sampled": _whole_token(tokenizer),
    }
    request.write_text(json.dumps(content), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, _CHILD, path, request, answer],
            capture_output=True,
            timeout=_SECONDS,
        )
        if done.returncode or not answer.is_file():
            lines = done.stderr.decode("utf-8", "replace").splitlines()
            reasons = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["?"]
            raise ProofError(
                f"the export is wrong and was not kept: llama.cpp does not take it: {reasons[0][:300]}"
            )
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return found
    finally:
        for file in (request, answer):
            file.unlink(missing_ok=True)


def _whole_token(tokenizer: Tokenizer) -> int:
    """Return an id that stands for whole characters."""
    for token in range(tokenizer.vocab_size):
        content = tokenizer.decode_bytes([token])
        if content and content.isascii() and token != tokenizer.end_of_text:
            return token
    return 0


@torch.no_grad()
def _log_probabilities(model: GPT, prompt: list[int], tokenizer: Tokenizer) -> tuple[Tensor, float]:
    """Return our (V,) log-probabilities of the token after a prompt, and the size of the logits."""
    logits = model(torch.tensor([prompt]))[0, -1, : num_tokens(tokenizer)].double()
    return logits.log_softmax(-1), float(logits.abs().max())


def _largest(ours: Tensor, theirs: Mapping[str, float]) -> float:
    """Return the largest difference among our likeliest ids; infinite where theirs lack one."""
    top = ours.topk(min(_TOP, len(ours))).indices.tolist()
    return max(abs(float(ours[i]) - theirs.get(str(i), math.inf)) for i in top)
