from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import CheckpointError
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.store import load_tokenizer, save_tokenizer, tokenizer_sha256


def bpe_json() -> dict[str, Any]:
    tokens = [*(bytes([value]) for value in range(256)), b"ab", None]
    tokenizer = BPETokenizer(tokens, pattern="gpt2", special_tokens={"<|endoftext|>": 257})
    return tokenizer.to_json()


def write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_hash_is_that_of_the_file(tmp_path: Path) -> None:
    tokenizer = CharTokenizer("\nab汉🙂")

    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")

    content = (tmp_path / "tokenizer.json").read_bytes()
    assert tokenizer_sha256(tokenizer) == hashlib.sha256(content).hexdigest()


def test_hashes_of_different_tokenizers_differ() -> None:
    assert tokenizer_sha256(CharTokenizer("ab")) != tokenizer_sha256(CharTokenizer("ac"))


def test_loaded_tokenizer_is_of_the_saved_kind(tmp_path: Path) -> None:
    loaded = load_tokenizer(write(tmp_path / "tokenizer.json", bpe_json()))

    assert loaded.encode("abc") == [256, ord("c")]
    assert loaded.end_of_text == 257


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read: No such file"):
        load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 100_000],
    ids=["empty", "cut", "binary", "deep-list", "deep-object"],
)
def test_garbage_is_not_json(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match="is not JSON"):
        load_tokenizer(path)


@pytest.mark.parametrize("data", [None, 3, [], {}, {"kind": "other"}, {"kind": ["bpe"]}])
def test_other_json_is_no_tokenizer(data: object, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a tokenizer of gptkit.*known: char, bpe"):
        load_tokenizer(write(tmp_path / "tokenizer.json", data))


@pytest.mark.parametrize("key", ["tokens", "pattern", "special_tokens"])
def test_missing_key_is_named(key: str, tmp_path: Path) -> None:
    data = bpe_json()
    del data[key]

    with pytest.raises(CheckpointError, match=f"the key '{key}' is missing"):
        load_tokenizer(write(tmp_path / "tokenizer.json", data))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokens", 3),
        ("tokens", []),
        ("tokens", {}),
        ("tokens", ["not base64!"]),
        ("tokens", [3, 4]),
        ("tokens", [*bpe_json()["tokens"], bpe_json()["tokens"][256]]),
        ("tokens", [*bpe_json()["tokens"], ""]),
        ("tokens", bpe_json()["tokens"][1:]),
        ("pattern", None),
        ("pattern", []),
        ("pattern", "(unclosed"),
        ("special_tokens", []),
        ("special_tokens", {"<|endoftext|>": 999}),
        ("special_tokens", {"<|endoftext|>": 256}),
        ("special_tokens", {"<|endoftext|>": "257"}),
        ("special_tokens", {"<|endoftext|>": True}),
    ],
)
def test_damaged_bpe_is_refused(key: str, value: object, tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", {**bpe_json(), key: value})

    with pytest.raises(CheckpointError, match="is damaged"):
        load_tokenizer(path)


@pytest.mark.parametrize("characters", [None, 3, "", "ba", "aa", ["a", "b"], "a\udc80"])
def test_damaged_char_is_refused(characters: object, tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", {"kind": "char", "characters": characters})

    with pytest.raises(CheckpointError, match="is damaged: 'characters' must"):
        load_tokenizer(path)


@pytest.mark.parametrize("pattern", ["zzz", r"\w+", r"[^\n]+"])
def test_a_split_pattern_that_misses_text_is_refused(pattern: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", {**bpe_json(), "pattern": pattern})

    with pytest.raises(CheckpointError, match="is damaged: its split pattern loses text"):
        load_tokenizer(path)


def test_an_absurdly_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(64 << 20)

    with pytest.raises(CheckpointError, match="absurdly large"):
        load_tokenizer(path)
