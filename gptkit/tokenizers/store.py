"""tokenizer.json: the file that holds a tokenizer whole, and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gptkit.errors import CheckpointError, DataError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.config import FileConfig

KINDS: dict[str, Any] = {cls.kind: cls for cls in (CharTokenizer, BPETokenizer)}
"""What tokenizer.json says under "kind" -> the class that reads the rest."""

_MAX_BYTES = 32 << 20
_PROBE = "It's 3 o'clock, 1234 left:\r\n\n\t  naïve 日本語 🙂 <|endoftext|>"


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write `tokenizer` to `path`, the same bytes for the same tokenizer."""
    path.write_bytes(_file_bytes(tokenizer))


def load_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer that `save_tokenizer` wrote to `path`.

    Raises: CheckpointError when the file is missing or holds no tokenizer.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(f"{path}: absurdly large")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON: {_short(error)}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise CheckpointError(
            f"{path}: is not a tokenizer of gptkit: 'kind' is {_short(kind)}; known: {known}"
        )
    try:
        tokenizer: Tokenizer = KINDS[kind].from_json(data)
        _check_round_trip(tokenizer)
    except KeyError as error:
        raise CheckpointError(f"{path}: the key {error} is missing") from None
    except (AttributeError, TypeError, ValueError, DataError) as error:
        raise CheckpointError(f"{path}: is damaged: {_short(error)}") from None
    return tokenizer


def train(
    section: FileConfig,
    texts: Callable[[], Iterable[str]],
    *,
    total_bytes: int,
    progress: Callable[[int], None],
) -> Tokenizer:
    """Return the tokenizer in the file that a config names; no text is read.

    Raises: DataError when the file is missing or holds no tokenizer.
    """
    try:
        return load_tokenizer(Path(section.path))
    except CheckpointError as error:  # its exit code would promise a checkpoint
        raise DataError(f"data.tokenizer.path: {error}") from error


def file_identity(section: FileConfig) -> dict[str, Any]:
    """Return what changes when the tokenizer in the file does, wherever the file is.

    Raises: DataError when it cannot be read.
    """
    try:
        content = Path(section.path).read_bytes()
    except OSError as error:
        raise DataError(
            f"data.tokenizer.path: '{section.path}' cannot be read: {error.strerror or error}"
        ) from None
    return {"name": section.name, "sha256": hashlib.sha256(content).hexdigest()}


def _check_round_trip(tokenizer: Tokenizer) -> None:
    """A split pattern may be any regular expression; one that misses text would lose it silently."""
    if tokenizer.kind == BPETokenizer.kind and tokenizer.decode(tokenizer.encode(_PROBE)) != _PROBE:
        raise ValueError("its split pattern loses text")


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Return the hash of the file that `save_tokenizer` writes."""
    return hashlib.sha256(_file_bytes(tokenizer)).hexdigest()


def _file_bytes(tokenizer: Tokenizer) -> bytes:
    return (json.dumps(tokenizer.to_json(), ensure_ascii=False, indent=1) + "\n").encode()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:100] + "..."
