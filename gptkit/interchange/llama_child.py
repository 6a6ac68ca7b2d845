"""A process of its own that asks llama.cpp: it may abort, and it talks on stdout.

    python llama_child.py MODEL.gguf REQUEST.json ANSWER.json

The request holds "prompts" (lists of token ids), "texts", "top" (how many ids to answer with) and
"sampled", an id that is whole as text: llama.cpp says nothing of a token that ends inside a character.
The answer holds "logprobs", for each prompt {id: log-probability} of the next token, and "tokens", for
each text its ids. Imports nothing of gptkit.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import xllamacpp


def main(model: str, request: str, answer: str) -> None:
    """Load the model, answer the request, write the answer."""
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    server = xllamacpp.Server(_settings(model))
    found = {
        "logprobs": [_next(server, prompt, asked) for prompt in asked["prompts"]],
        "tokens": [_tokens(server, text) for text in asked["texts"]],
    }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def _settings(model: str) -> Any:
    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.n_ctx = 0  # the model's own
    settings.n_parallel = 1
    settings.n_gpu_layers = 0
    settings.warmup = False
    settings.port = 0  # any that is free, on this machine only
    # Its threads wait for each other without sleeping: more of them than idle cores is slower.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = max(
        1, (os.cpu_count() or 1) // 2
    )
    return settings


def _next(server: Any, prompt: list[int], asked: dict[str, Any]) -> dict[str, float]:
    body = {
        "prompt": prompt,
        "n_predict": 1,
        "n_probs": asked["top"],
        "logit_bias": [[asked["sampled"], 1e4]],  # the probabilities answered are those before it
        "temperature": 0,
        "cache_prompt": False,
    }
    (position,) = _ask(server, "/completion", body)["completion_probabilities"]
    return {str(entry["id"]): entry["logprob"] for entry in position["top_logprobs"]}


def _tokens(server: Any, text: str) -> list[int]:
    body = {"content": text, "add_special": False, "parse_special": False}
    tokens: list[int] = _ask(server, "/tokenize", body)["tokens"]
    return tokens


def _ask(server: Any, path: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = Request(server.listening_address + path, json.dumps(body).encode(), headers)
    with urlopen(request) as response:
        return json.loads(response.read())


if __name__ == "__main__":
    main(*sys.argv[1:])
