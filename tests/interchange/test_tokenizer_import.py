"""Tokenizers that others made, and those that ours became."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers as hf_tokenizers

from gptkit.errors import ConfigError
from gptkit.interchange.tokenizer_import import bytes_only, read_tokenizer
from gptkit.interchange.tokenizer_json import to_tokenizer_config, to_tokenizer_json
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.patterns import PATTERNS
from tests.interchange.conftest import TEXT, make_bpe
from tests.interchange.tokenizer_files import read, their_tokenizer, write_files


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
            (
                {
                    "pre_tokenizer": {
                        "type": "Sequence",
                        "pretokenizers": [
                            {
                                "type": "Split",
                                "pattern": {"Regex": r"\p{N}{1,3}+|\P{N}+"},
                                "behavior": "Isolated",
                            },
                            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
                        ],
                    }
                },
                r"pattern holds \{1,3\}\+",
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

    def test_every_pair_that_makes_a_token_may_be_listed(
        self, tokenizers: dict[str, Tokenizer], fuzz_texts: list[str], tmp_path: Path
    ) -> None:
        """Llama 3's file does so: more merges than tokens, those of one token in a row."""
        data = to_tokenizer_json(tokenizers["llama3"])
        vocab = data["model"]["vocab"]
        pairs = [
            (token, name[:i], name[i:])
            for name, token in vocab.items()
            for i in range(1, len(name))
            if name[:i] in vocab and name[i:] in vocab
        ]
        pairs.sort(key=lambda pair: (pair[0], vocab[pair[1]]))
        assert len(pairs) > len(data["model"]["merges"])
        model = data["model"] | {"merges": [[a, b] for _, a, b in pairs], "ignore_merges": True}
        write_files(tokenizers["llama3"], tmp_path, model=model)
        theirs = hf_tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

        ours = read(tmp_path, tokenizers["llama3"].vocab_size)

        assert [ours.encode(text) for text in fuzz_texts] == [
            theirs.encode(text).ids for text in fuzz_texts
        ]

    def test_digits_cut_out_before_gpt2s_pattern_are_one_pattern_here(
        self, tokenizers: dict[str, Tokenizer], fuzz_texts: list[str], tmp_path: Path
    ) -> None:
        """SmolLM's: two cuts, one after the other."""
        digits = {"type": "Digits", "individual_digits": True}
        byte_level = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        }
        both = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
        write_files(tokenizers["gpt2"], tmp_path, pre_tokenizer=both)
        theirs = hf_tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        texts = [*fuzz_texts, "a  1  b 22\n 3", TEXT]

        ours = read(tmp_path, tokenizers["gpt2"].vocab_size)

        assert [ours.encode(text) for text in texts] == [theirs.encode(t).ids for t in texts]
        assert their_tokenizer(ours).encode(TEXT).ids == ours.encode(TEXT)

    def test_merges_that_ranks_cannot_say_are_refused(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        data = to_tokenizer_json(tokenizers["gpt2"])
        whole = next(m for m in data["model"]["merges"] if len(m.replace(" ", "")) > 2)
        name = whole.replace(" ", "")
        other = next(
            f"{name[:i]} {name[i:]}"
            for i in range(1, len(name))
            if f"{name[:i]} {name[i:]}" != whole
        )
        merges = [other if merge == whole else merge for merge in data["model"]["merges"]]
        write_files(tokenizers["gpt2"], tmp_path, model=data["model"] | {"merges": merges})

        with pytest.raises(ConfigError, match="no merge makes"):
            read(tmp_path, tokenizers["gpt2"].vocab_size)

    def test_what_it_adds_to_a_text_or_takes_for_one_token_is_said(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        end = tokenizers["gpt2"].end_of_text
        write_files(
            tokenizers["gpt2"],
            tmp_path,
            added_tokens=[
                {"id": end, "content": "<|endoftext|>", "special": True},
                {"id": 400, "content": "<think>", "special": False},
            ],
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
            },
        )
        said: list[str] = []

        found = read_tokenizer(tmp_path, 401, end_of_text=end, warn=said.append)

        assert any("puts <|endoftext|> around a text" in text for text in said)
        assert any("'<think>' in a text" in text for text in said)
        assert found is not None and 400 not in found.encode("<think>")

    def test_sentencepiece_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "tokenizer.model").write_bytes(b"x")

        with pytest.raises(ConfigError, match="no SentencePiece tokenizer"):
            read(tmp_path, 400)

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
