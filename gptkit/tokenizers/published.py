"""Published encodings by their tiktoken name: gpt2, cl100k_base, o200k_base, ...

tiktoken fetches their files once and keeps them in $TIKTOKEN_CACHE_DIR (or a temporary folder). A
tokenizer made here carries all its ranks, so a checkpoint that holds one needs neither network nor
cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from difflib import get_close_matches

import tiktoken

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import TiktokenConfig

_SERVER = "https://openaipublic.blob.core.windows.net"
_GPT2_FILES = (
    f"{_SERVER}/gpt-2/encodings/main/vocab.bpe",
    f"{_SERVER}/gpt-2/encodings/main/encoder.json",
)
_FILES = {
    "gpt2": _GPT2_FILES,
    "r50k_base": (f"{_SERVER}/encodings/r50k_base.tiktoken",),
    "p50k_base": (f"{_SERVER}/encodings/p50k_base.tiktoken",),
    "p50k_edit": (f"{_SERVER}/encodings/p50k_base.tiktoken",),
    "cl100k_base": (f"{_SERVER}/encodings/cl100k_base.tiktoken",),
    "o200k_base": (f"{_SERVER}/encodings/o200k_base.tiktoken",),
    "o200k_harmony": (f"{_SERVER}/encodings/o200k_base.tiktoken",),
}
"""Where tiktoken gets each encoding from; held against tiktoken by the tests."""


def check(section: TiktokenConfig) -> None:
    """Check that tiktoken knows the encoding; needs no network and no file.

    Raises: ConfigError.
    """
    known = sorted(tiktoken.list_encoding_names())
    if section.encoding in known:
        return
    close = get_close_matches(section.encoding, known, n=1, cutoff=0.5)
    raise ConfigError(
        f"tiktoken has no encoding '{section.encoding}'; it has {', '.join(known)}"
        + (f"; did you mean '{close[0]}'?" if close else "")
    )


def train(
    section: TiktokenConfig,
    texts: Callable[[], Iterable[str]],
    *,
    total_bytes: int,
    progress: Callable[[int], None],
) -> BPETokenizer:
    """Return the published encoding; no text is read.

    Raises: ConfigError for an unknown name, DataError when its files can be had neither from the
    cache nor from the network.
    """
    check(section)
    try:
        encoding = tiktoken.get_encoding(section.encoding)
    except (
        OSError,
        ValueError,
    ) as error:  # no network, a proxy's answer, a cache that cannot be written
        raise DataError(_how_to_get(section.encoding, error)) from None
    return from_encoding(encoding)


def from_encoding(encoding: tiktoken.Encoding) -> BPETokenizer:
    """Return the tokenizer that encodes as `encoding` does."""
    # The underscored attributes are what tiktoken's README tells one to extend an encoding with.
    tokens: list[bytes | None] = [None] * encoding.n_vocab
    for token, rank in encoding._mergeable_ranks.items():
        tokens[rank] = token
    return BPETokenizer(
        tokens,
        pattern=encoding._pat_str,
        special_tokens=encoding._special_tokens,
        encoding_name=encoding.name,
    )


def _how_to_get(name: str, error: Exception) -> str:
    # The messages of the network library are pages long; the operating system's and tiktoken's own
    # are not.
    own = type(error).__module__ == "builtins"
    reason = str(error) if own else type(error).__name__
    lines = [f"the encoding '{name}' is neither cached nor can it be fetched: {reason}"]
    for url in _FILES.get(name, ()):
        lines.append(f"  {url}\n    save as {hashlib.sha1(url.encode()).hexdigest()}")
    lines.append("put its files under these names into the folder that TIKTOKEN_CACHE_DIR names")
    return "\n".join(lines)
