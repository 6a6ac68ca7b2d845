"""A tokenizer of gptkit from the files that come with a model of Hugging Face.

    tokenizer.json            byte-level BPE (GPT-2, Llama 3, Qwen), or a char tokenizer of gptkit's
    vocab.json, merges.txt    GPT-2's older pair of files

Merges become ranks, which say the same where each makes the token with the next id, of the parts that
all earlier ones leave of it. A file may list every other pair of tokens that makes it up as well (Llama
3's does): no text comes to them. What else a tokenizer.json may do (SentencePiece, WordPiece, prefix
spaces) is refused by name.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError
from gptkit.interchange.chat import with_template
from gptkit.interchange.probes import probe_texts
from gptkit.interchange.tokenizer_json import CHARACTER, byte_characters, merges
from gptkit.tokenizers.base import END_OF_TEXT, Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.merges import NUM_BYTES
from gptkit.tokenizers.patterns import GPT2_DIGITS, PATTERNS

TOKENIZER_JSON = "tokenizer.json"
_VOCAB_JSON, _MERGES_TXT = "vocab.json", "merges.txt"
_SENTENCEPIECE = "tokenizer.model"


def read_tokenizer(
    folder: Path, vocab_size: int, *, end_of_text: int | None, warn: Callable[[str], None]
) -> Tokenizer | None:
    """Return the tokenizer in a folder, with as many ids as the model; None where there is none.

    end_of_text: the id that the model's config names, if it does.
    warn: is told what gptkit's tokenizer does otherwise.

    Raises: ConfigError for a tokenizer that gptkit cannot be.
    """
    path = folder / TOKENIZER_JSON
    if path.is_file():
        data = read_json(path)
    elif (folder / _VOCAB_JSON).is_file() and (folder / _MERGES_TXT).is_file():
        path = folder / _VOCAB_JSON
        data = _gpt2_layout(read_json(path), _read(folder / _MERGES_TXT))
    elif (folder / _SENTENCEPIECE).is_file():
        raise ConfigError(
            f"{folder / _SENTENCEPIECE}: gptkit has no SentencePiece tokenizer; the model without it can be"
            " imported from a folder that does not hold this file, to read bytes"
        )
    else:
        return None
    try:
        kind = data["model"]["type"]
        if kind == "BPE":
            tokenizer = _without_loss(_byte_level(data, vocab_size, end_of_text, warn))
            return with_template(tokenizer, folder)
        if kind == "WordLevel":
            return _characters(data, vocab_size)
        raise ConfigError(f"a {kind} model; gptkit has byte-level BPE and characters")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: is damaged: {type(error).__name__}: {error}") from None


def bytes_only(vocab_size: int, end_of_text: int | None) -> BPETokenizer:
    """Return a tokenizer of GPT-2's 256 byte tokens and no other, for a model that came without one.

    Raises: ConfigError for a model with fewer tokens than that.
    """
    if vocab_size < NUM_BYTES:
        raise ConfigError(
            f"there is no tokenizer with the model, and its {vocab_size} tokens are not enough for bytes"
        )
    order = sorted(range(NUM_BYTES), key=lambda value: byte_characters()[value])
    tokens: list[bytes | None] = [bytes([value]) for value in order]
    tokens += [None] * (vocab_size - NUM_BYTES)
    has_end = end_of_text is not None and NUM_BYTES <= end_of_text < vocab_size
    special = {END_OF_TEXT: end_of_text} if has_end and end_of_text is not None else {}
    return BPETokenizer(tokens, pattern="gpt2", special_tokens=special)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises: ConfigError.
    """
    try:
        return json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON: {str(error)[:100]}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


def _gpt2_layout(vocab: dict[str, int], merges_text: str) -> dict[str, Any]:
    """Return the tokenizer.json that GPT-2's older files stand for."""
    lines = [line for line in merges_text.split("\n") if line and not line.startswith("#version")]
    ends = [END_OF_TEXT] if END_OF_TEXT in vocab else []
    return {
        "added_tokens": [{"id": vocab[end], "content": end} for end in ends],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocab, "merges": lines},
    }


def _byte_level(
    data: Mapping[str, Any],
    vocab_size: int,
    end_of_text: int | None,
    warn: Callable[[str], None],
) -> BPETokenizer:
    model = data["model"]
    _refuse_habits(data, warn)
    _tell_of_markers(data, warn)
    pattern = _pattern(data["pre_tokenizer"])
    vocab: dict[str, int] = model["vocab"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    made = [vocab[a + b] for a, b in pairs]
    if any(later < earlier for earlier, later in itertools.pairwise(made)):
        raise ConfigError("its merges do not make the tokens in the order of their ids")
    whole_words = bool(model.get("ignore_merges"))
    values = {char: value for value, char in enumerate(byte_characters())}
    ordinary = {*made, *(vocab[char] for char in values if char in vocab)}
    added = _added(data)
    tokens: list[bytes | None] = [None] * vocab_size
    special: dict[str, int] = {}
    for name, token in (vocab | added).items():
        if not 0 <= token < vocab_size:
            raise ConfigError(
                f"the token {name!r} has the id {token}, and the model {vocab_size} rows"
            )
        if name in added or not (whole_words or token in ordinary):
            special[name] = token
        else:
            tokens[token] = _bytes(name, values)
    if not all(bytes([value]) in tokens for value in range(NUM_BYTES)):
        raise ConfigError("its vocabulary lacks some of the 256 bytes: it is not byte-level")
    listed = {(_bytes(a, values), _bytes(b, values)) for a, b in pairs}
    for a, b in merges(tokens):
        if (a, b) not in listed:
            raise ConfigError(f"no merge makes {a + b!r} of {a!r} and {b!r}, as gptkit's BPE does")
    names = {token: name for name, token in special.items()}
    end = names.get(end_of_text) if end_of_text is not None else None
    return BPETokenizer(
        tokens, pattern=pattern, special_tokens=special, end_of_text=end or END_OF_TEXT
    )


def _bytes(name: str, values: Mapping[str, int]) -> bytes:
    """Return what a token stands for from its printable form: "Ġhi" -> b" hi"."""
    return bytes(values[char] for char in name)


def _without_loss(tokenizer: BPETokenizer) -> BPETokenizer:
    """Return a tokenizer whose split pattern leaves no text out, as any regular expression may."""
    for text in probe_texts(tokenizer):
        if tokenizer.decode(tokenizer.encode(text)) != text:
            raise ConfigError(f"its split pattern loses text: {text[:40]!r}")
    return tokenizer


def _refuse_habits(data: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Raise a ConfigError for what changes text or merges in a way that gptkit's BPE does not."""
    model = data["model"]
    for key in ("byte_fallback", "continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise ConfigError(
                f"'{key}' is set (SentencePiece?); gptkit's BPE is byte-level, without it"
            )
    if data.get("normalizer") is not None:
        if not composes(data):
            raise ConfigError(
                f"its normalizer ({data['normalizer'].get('type')}) changes text before cutting it;"
                " gptkit does not"
            )
        warn(
            "the tokenizer composes characters first (NFC); gptkit takes text as it is, which is the same"
            " where it is composed already"
        )


def _tell_of_markers(data: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Say what the tokenizer makes of a text beside its words, which gptkit leaves to the user."""
    around = json.dumps(data.get("post_processor") or {})
    names = sorted(name for name in _added(data) if f'"{name}"' in around)
    if names:
        warn(f"the tokenizer puts {', '.join(names)} around a text by itself; gptkit does not")
    words = [t["content"] for t in data.get("added_tokens") or () if not t.get("special", True)]
    if words:
        more = f" and {len(words) - 3} more" if len(words) > 3 else ""
        warn(
            f"the tokenizer takes {', '.join(map(repr, words[:3]))}{more} in a text for one token each;"
            " in gptkit such text stays text"
        )


def _added(data: Mapping[str, Any]) -> dict[str, int]:
    return {token["content"]: token["id"] for token in data.get("added_tokens") or ()}


def composes(data: Mapping[str, Any]) -> bool:
    """Return whether a tokenizer.json composes characters before it cuts a text, and does no more."""
    normalizer = data.get("normalizer") or {}
    return normalizer.get("type") == "NFC"


def _pattern(pre_tokenizer: Mapping[str, Any] | None) -> str:
    """Return the split pattern: a name of PATTERNS, or the regular expression itself."""
    parts = _flat(pre_tokenizer)
    byte_level = [part for part in parts if part["type"] == "ByteLevel"]
    splits = [part for part in parts if part["type"] == "Split"]
    if [part["type"] for part in parts] == ["Digits", "ByteLevel"] and _are_gpt2_digits(*parts):
        return GPT2_DIGITS
    if len(byte_level) != 1 or len(parts) != 1 + len(splits):
        kinds = ", ".join(part["type"] for part in parts) or "none"
        raise ConfigError(
            f"its pre-tokenizer is {kinds}; gptkit's BPE cuts by one pattern, over bytes"
        )
    if byte_level[0].get("add_prefix_space"):
        raise ConfigError("'add_prefix_space' is true; gptkit adds no space")
    if not splits and byte_level[0].get("use_regex", True):
        return "gpt2"
    behaviour = (
        (splits[0].get("behavior"), splits[0].get("invert", False)) if len(splits) == 1 else ()
    )
    if behaviour != ("Isolated", False) or byte_level[0].get("use_regex", True):
        raise ConfigError("its pre-tokenizer splits in several ways; gptkit's BPE has one pattern")
    pattern = splits[0]["pattern"].get("Regex")
    if not isinstance(pattern, str):
        raise ConfigError("its pre-tokenizer splits at a fixed string; gptkit's at a pattern")
    possessive = re.search(r"\{\d*,?\d*\}\+", pattern)
    if possessive:
        # (x{1,3})+ to Hugging Face's library, and x{1,3} without a second look to tiktoken.
        raise ConfigError(
            f"its split pattern holds {possessive[0]}, which the two libraries read differently"
        )
    names = {text: name for name, text in PATTERNS.items()}
    return names.get(pattern, pattern)


def _are_gpt2_digits(digits: Mapping[str, Any], byte_level: Mapping[str, Any]) -> bool:
    """Return whether the two cut out each digit, and what is between as GPT-2 does."""
    habits = (byte_level.get("add_prefix_space", False), byte_level.get("use_regex", True))
    return digits.get("individual_digits") is True and habits == (False, True)


def _flat(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if pre_tokenizer is None:
        return []
    if pre_tokenizer["type"] != "Sequence":
        return [pre_tokenizer]
    return [part for inner in pre_tokenizer["pretokenizers"] for part in _flat(inner)]


def _characters(data: Mapping[str, Any], vocab_size: int) -> CharTokenizer:
    vocab: dict[str, int] = data["model"]["vocab"]
    splits = _flat(data["pre_tokenizer"])
    characters = "".join(sorted(vocab, key=lambda char: vocab[char]))
    is_ours = len(splits) == 1 and splits[0].get("pattern", {}).get("Regex") == CHARACTER
    if not is_ours or len(characters) != len(vocab):
        raise ConfigError("a WordLevel model of words; gptkit has one of characters")
    if len(vocab) != vocab_size:
        raise ConfigError(f"it has {len(vocab)} characters, and the model {vocab_size} rows")
    return CharTokenizer.from_json({"characters": characters})
