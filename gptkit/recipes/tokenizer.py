"""gptkit tokenizer: train one, and see what it does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from gptkit.checkpoint.store import TOKENIZER_NAME
from gptkit.config import find_config, parse_override
from gptkit.data.prepare import prepare_dataset
from gptkit.errors import CheckpointError, ConfigError
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.train.check import check
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.runs import resolve
from gptkit.runtime.interrupt import Interrupt
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import load_tokenizer, save_tokenizer


def train(name: str, settings: Sequence[str], out: Path) -> None:
    """Train the tokenizer of a config, by preparing its data, and write it to the file `out`.

    Raises: ConfigError, DataError, Interrupted.
    """
    config = load_whole_config(find_config(name), [parse_override(text) for text in settings])
    check(config)
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ConfigError(f"--out {out}: must be a file in a folder that exists")
    with Interrupt() as interrupt, interrupt.soon():
        dataset = prepare_dataset(config.data, progress=TerminalProgress(interrupt))
    save_tokenizer(dataset.tokenizer, out)
    kind, size = dataset.tokenizer.kind, dataset.tokenizer.vocab_size
    say(f"wrote {out}: {kind}, vocabulary {size:,}")


def encode(path: Path | None, text: str, *, as_json: bool) -> None:
    """Print the token ids of `text`; "-": of standard input.

    Raises: ConfigError, PromptError.
    """
    tokenizer = _load(path)
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    tokens = tokenizer.encode(text)
    print(json.dumps(tokens) if as_json else " ".join(map(str, tokens)))


def decode(path: Path | None, tokens: str) -> None:
    """Print the text of token ids; "-": of standard input.

    Raises: ConfigError for what is no id.
    """
    tokenizer = _load(path)
    words = (sys.stdin.read() if tokens == "-" else tokens).strip("[] \n").replace(",", " ").split()
    bad = [word for word in words if not word.isdecimal()]
    if bad:
        raise ConfigError(f"'{bad[0]}' is no token id")
    print(tokenizer.decode([int(word) for word in words]))


def _load(path: Path | None) -> Tokenizer:
    file = path if path is not None and path.is_file() else None
    if file is None and path is not None and (path / TOKENIZER_NAME).is_file():
        file = path / TOKENIZER_NAME
    if file is None:
        file = resolve(path) / TOKENIZER_NAME
    try:
        return load_tokenizer(file)
    except CheckpointError as error:
        raise ConfigError(str(error)) from error
