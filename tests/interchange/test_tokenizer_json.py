"""tokenizer.json says what our tokenizers say. The long form: benchmarks/interchange.py."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers as hf_tokenizers
import transformers

from gptkit.errors import ConfigError
from gptkit.interchange.tokenizer_import import bytes_only, read_tokenizer
from gptkit.interchange.tokenizer_json import (
    merges,
    to_tokenizer_config,
    to_tokenizer_json,
)
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.patterns import PATTERNS
from tests.interchange.conftest import TEXT, make_bpe


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


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_text_encodes_alike(
    pattern: str, tokenizers: dict[str, Tokenizer], fuzz_texts: list[str]
) -> None:
    texts = [*fuzz_texts, TEXT, inspect.getsource(inspect)]
    theirs = their_tokenizer(tokenizers[pattern])

    ids = [theirs.encode(text).ids for text in texts]

    assert ids == [tokenizers[pattern].encode(text) for text in texts]
    assert [theirs.decode(found) for found in ids] == texts


def test_autotokenizer_keeps_our_pre_tokenizer_and_takes_special_text_for_text(
    tokenizers: dict[str, Tokenizer], fuzz_texts: list[str], tmp_path: Path
) -> None:
    tokenizer = tokenizers["gpt2"]
    write_files(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert [theirs(text)["input_ids"] for text in fuzz_texts] == [
        tokenizer.encode(text) for text in fuzz_texts
    ]
    assert theirs.eos_token_id == tokenizer.end_of_text
    assert theirs.decode([tokenizer.end_of_text], skip_special_tokens=True) == ""


def test_characters_come_through_and_an_unknown_one_is_an_error(
    tokenizers: dict[str, Tokenizer],
) -> None:
    theirs = their_tokenizer(tokenizers["char"])

    assert theirs.encode(TEXT).ids == tokenizers["char"].encode(TEXT)
    assert theirs.decode(tokenizers["char"].encode(TEXT)) == TEXT
    with pytest.raises(Exception, match="UNK"):
        theirs.encode("Ж")


def test_merges_are_found_again_in_the_ranks() -> None:
    tokens = [*(bytes([value]) for value in range(256)), b"ab", b"abab", None, b"ca", b"cab"]

    found = merges(tokens)

    # c, ab and ca, b both make cab; (a, b) was learned first, so the text never holds ca, b.
    assert found == [(b"a", b"b"), (b"ab", b"ab"), (b"c", b"a"), (b"c", b"ab")]


class TestReading:
    """Tokenizers that others made."""

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_a_tokenizer_comes_back_as_it_was(
        self, pattern: str, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        tokenizer = tokenizers[pattern]
        write_files(tokenizer, tmp_path)

        assert read(tmp_path, tokenizer.vocab_size).to_json() == tokenizer.to_json()

    @pytest.fixture
    def theirs(self, tmp_path: Path) -> hf_tokenizers.Tokenizer:
        """Trained by the library: bytes in its own order, a special token in front."""
        trained = hf_tokenizers.ByteLevelBPETokenizer()
        trained.train_from_iterator(
            [TEXT], vocab_size=400, min_frequency=2, special_tokens=["<|end|>", "<|endoftext|>"]
        )
        trained.save(str(tmp_path / "tokenizer.json"))
        trained.save_model(str(tmp_path))
        return hf_tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    def test_one_that_the_library_trained_encodes_alike(
        self, theirs: hf_tokenizers.Tokenizer, tmp_path: Path, fuzz_texts: list[str]
    ) -> None:
        theirs.encode_special_tokens = True

        ours = read(tmp_path, theirs.get_vocab_size(), end_of_text=0)

        assert [ours.encode(text) for text in fuzz_texts] == [
            theirs.encode(text).ids for text in fuzz_texts
        ]
        assert ours.end_of_text == 0 and ours.special_tokens["<|endoftext|>"] == 1

    def test_the_older_pair_of_files_is_the_same_tokenizer(
        self, theirs: hf_tokenizers.Tokenizer, tmp_path: Path, fuzz_texts: list[str]
    ) -> None:
        one = read(tmp_path, theirs.get_vocab_size())
        (tmp_path / "tokenizer.json").unlink()

        two = read(tmp_path, theirs.get_vocab_size())

        assert [two.encode(text) for text in fuzz_texts] == [one.encode(t) for t in fuzz_texts]
        assert two.end_of_text == 1

    def test_the_name_of_its_end_of_text_survives_our_own_file(
        self, theirs: hf_tokenizers.Tokenizer, tmp_path: Path
    ) -> None:
        ours = read(tmp_path, theirs.get_vocab_size(), end_of_text=0)

        again = BPETokenizer.from_json(json.loads(json.dumps(ours.to_json())))

        assert again.end_of_text == 0
        assert to_tokenizer_config(again, 8)["eos_token"] == "<|end|>"

    def test_rows_beyond_the_vocabulary_are_ids_without_text(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        write_files(tokenizers["gpt2"], tmp_path)

        padded = read(tmp_path, tokenizers["gpt2"].vocab_size + 3)

        assert padded.vocab_size == tokenizers["gpt2"].vocab_size + 3
        assert padded.encode(TEXT) == tokenizers["gpt2"].encode(TEXT)
        assert padded.decode([padded.vocab_size - 1]) == ""

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"model": {"type": "Unigram"}}, "Unigram model"),
            ({"normalizer": {"type": "Lowercase"}}, r"normalizer \(Lowercase\)"),
            ({"pre_tokenizer": {"type": "Metaspace"}}, "pre-tokenizer is Metaspace"),
            ({"pre_tokenizer": None}, "pre-tokenizer is none"),
            (
                {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
                "add_prefix_space",
            ),
            ({"model": 3}, "is damaged"),
        ],
    )
    def test_what_gptkit_does_not_do_is_refused(
        self,
        changes: dict[str, Any],
        problem: str,
        tokenizers: dict[str, Tokenizer],
        tmp_path: Path,
    ) -> None:
        write_files(tokenizers["gpt2"], tmp_path, **changes)

        with pytest.raises(ConfigError, match=problem):
            read(tmp_path, tokenizers["gpt2"].vocab_size)

    def test_more_tokens_than_rows_are_refused(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        write_files(tokenizers["gpt2"], tmp_path)

        with pytest.raises(ConfigError, match="the model 300 rows"):
            read(tmp_path, 300)

    def test_composing_characters_is_said_to_be_left_out(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        write_files(tokenizers["gpt2"], tmp_path, normalizer={"type": "NFC"})
        said: list[str] = []

        read_tokenizer(tmp_path, 400, end_of_text=None, warn=said.append)

        assert "NFC" in said[0]


def test_a_model_without_tokenizer_reads_gpt2s_bytes() -> None:
    tokenizer = bytes_only(50_257, 50_256)

    assert tokenizer.encode("Hi!") == [39, 72, 0]  # as in GPT-2: "!" is 0, "H" 39, "i" 72
    assert tokenizer.decode(tokenizer.encode("汉字\n")) == "汉字\n"
    assert tokenizer.end_of_text == 50_256
    with pytest.raises(ConfigError, match="not enough for bytes"):
        bytes_only(100, None)


def test_a_private_pattern_is_taken_over_as_it_is(tmp_path: Path) -> None:
    tokenizer = make_bpe("gpt2")
    own = BPETokenizer(
        tokenizer.tokens, pattern=r"\p{L}+|[^\p{L}]", special_tokens=tokenizer.special_tokens
    )
    write_files(own, tmp_path)

    assert read(tmp_path, own.vocab_size).to_json() == own.to_json()
    assert their_tokenizer(own).encode(TEXT).ids == own.encode(TEXT)
