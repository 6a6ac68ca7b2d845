from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import tiktoken
import tiktoken_ext.openai_public

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizers import published
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.config import TOKENIZERS, TiktokenConfig
from gptkit.tokenizers.store import load_tokenizer, save_tokenizer


def build(name: str) -> BPETokenizer:
    tokenizer = TOKENIZERS.build(
        TiktokenConfig(encoding=name), lambda: [], total_bytes=0, progress=lambda num_bytes: None
    )
    assert isinstance(tokenizer, BPETokenizer)
    return tokenizer


@pytest.fixture
def small_encoding(monkeypatch: pytest.MonkeyPatch) -> tiktoken.Encoding:
    """A published encoding in small: bytes in another order, a gap before the special tokens."""
    tokens = [*(bytes([value]) for value in reversed(range(256))), b"he", b"ll", b"hell", b"hello"]
    encoding = tiktoken.Encoding(
        "gpt2",
        pat_str=r"\p{L}++|\s++|[^\s\p{L}]++",
        mergeable_ranks={token: rank for rank, token in enumerate(tokens)},
        special_tokens={"<|endoftext|>": 265, "<|other|>": 266},
    )
    monkeypatch.setattr(tiktoken, "get_encoding", {"gpt2": encoding}.__getitem__)
    return encoding


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(url: str, **settings: object) -> None:
        raise requests.exceptions.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))


def test_ids_are_those_of_tiktoken(
    small_encoding: tiktoken.Encoding, fuzz_texts: list[str]
) -> None:
    texts = ["hello hello, hell<|endoftext|>", *fuzz_texts]

    tokenizer = build("gpt2")

    assert [tokenizer.encode(text) for text in texts] == [
        small_encoding.encode_ordinary(text) for text in texts
    ]
    assert tokenizer.vocab_size == 267
    assert tokenizer.end_of_text == 265


def test_ids_that_stand_for_nothing_decode_to_nothing(small_encoding: tiktoken.Encoding) -> None:
    tokenizer = build("gpt2")

    assert tokenizer.decode([259, 262, 266]) == "hello<|other|>"
    assert tokenizer.token_bytes()[[259, 262, 266]].tolist() == [5, 0, 0]


def test_saved_encoding_loads_without_its_files(
    small_encoding: tiktoken.Encoding, no_network: None, tmp_path: Path
) -> None:
    save_tokenizer(build("gpt2"), tmp_path / "tokenizer.json")

    loaded = load_tokenizer(tmp_path / "tokenizer.json")

    assert loaded.encode("hello 汉") == small_encoding.encode_ordinary("hello 汉")


def test_encoding_without_special_tokens_has_no_end_of_text() -> None:
    encoding = tiktoken.Encoding(
        "plain",
        pat_str=".",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={},
    )

    tokenizer = published.from_encoding(encoding)

    assert tokenizer.end_of_text is None
    assert tokenizer.encode("ab" * 50_000) == [97, 98] * 50_000


@pytest.mark.parametrize(
    ("wrong", "right"), [("gtp2", "gpt2"), ("cl100k", "cl100k_base"), ("r50kbase", "r50k_base")]
)
def test_unknown_encoding_gets_a_suggestion(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=f"no encoding '{wrong}'.*did you mean '{right}'"):
        published.check(TiktokenConfig(encoding=wrong))


def test_known_encoding_passes_the_check_without_network(no_network: None) -> None:
    published.check(TiktokenConfig(encoding="o200k_base"))


def test_missing_file_is_named_with_its_place_in_the_cache(no_network: None) -> None:
    with pytest.raises(DataError) as caught:
        build("gpt2")

    message = str(caught.value)
    assert "'gpt2' is neither cached nor can it be fetched: ConnectionError" in message
    assert "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/vocab.bpe" in message
    assert "6d1cbeee0f20b3d9449abfede4726ed8212e3aee" in message
    assert "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6" in message
    assert "TIKTOKEN_CACHE_DIR" in message


def test_file_with_other_content_is_an_error_too(
    no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answer:
        content = b"<html>please log in</html>"

        def raise_for_status(self) -> None:
            pass

    monkeypatch.setattr(requests, "get", lambda url, **settings: Answer())

    with pytest.raises(DataError, match="Hash mismatch"):
        build("r50k_base")


@pytest.mark.parametrize("name", tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS)
def test_named_files_are_those_that_tiktoken_asks_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    remember = note_urls(asked)
    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", remember)
    monkeypatch.setattr(tiktoken_ext.openai_public, "data_gym_to_mergeable_bpe_ranks", remember)

    tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS[name]()

    assert asked == list(published._FILES[name])


def note_urls(asked: list[str]) -> Callable[..., dict[bytes, int]]:
    def load(*arguments: str, **settings: str) -> dict[bytes, int]:
        values = [*arguments, *settings.values()]
        asked.extend(value for value in values if value.startswith("https://"))
        return {}

    return load
