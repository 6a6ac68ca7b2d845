"""Files of a tokenizer as Hugging Face names them, written and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers as hf_tokenizers

from gptkit.interchange.tokenizer_import import read_tokenizer
from gptkit.interchange.tokenizer_json import to_tokenizer_config, to_tokenizer_json
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer


def their_tokenizer(tokenizer: Tokenizer) -> hf_tokenizers.Tokenizer:
    return hf_tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(tokenizer)))


def write_files(tokenizer: Tokenizer, folder: Path, **changes: Any) -> None:
    files = {
        "tokenizer.json": to_tokenizer_json(tokenizer) | changes,
        "tokenizer_config.json": to_tokenizer_config(tokenizer, 24),
        "config.json": {"model_type": "qwen3"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def read(folder: Path, vocab_size: int, end_of_text: int | None = None) -> BPETokenizer:
    found = read_tokenizer(folder, vocab_size, end_of_text=end_of_text, warn=lambda text: None)
    assert isinstance(found, BPETokenizer)
    return found
