"""What is prepared."""

import json
import shutil
from typing import Literal

import numpy as np
import pytest

from gptkit.data.build import Machine
from gptkit.data.dataset import open_dataset
from gptkit.data.prepare import check_data, check_text
from gptkit.data.progress import Silent
from gptkit.data.sources import SOURCES
from gptkit.errors import DataError
from gptkit.section import Section

BPE = {"name": "bpe", "vocab_size": 300}


@pytest.fixture
def stories(tmp_path):
    """A file of 300 documents."""
    path = tmp_path / "stories.jsonl"
    lines = [json.dumps({"text": f"story {i} of 春 and more\n" * 5}) for i in range(300)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return {"name": "jsonl", "paths": [str(path)]}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_characters_of_a_text_are_split_at_the_tail(prepare, text_file, text, tokens_of):
    dataset = prepare(text_file, val_fraction=0.2, test_fraction=0.1)

    cut, last = int(len(text) * (1 - 0.2 - 0.1)), int(len(text) * 0.9)
    decode = dataset.tokenizer.decode
    assert decode(tokens_of(dataset, "train")) == text[:cut]
    assert decode(tokens_of(dataset, "val")) == text[cut:last]
    assert decode(tokens_of(dataset, "test")) == text[last:]


def test_the_char_tokenizer_knows_the_characters_of_all_splits(prepare, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a" * 90 + "b" * 5 + "春" * 5, encoding="utf-8")

    assert prepare(path).tokenizer.vocab_size == 3


def test_bpe_learns_from_the_training_split_alone(prepare, tmp_path):
    train, held_out = "the cat sat on the mat. " * 60, "zzzzqqqq" * 20
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text(train + held_out, encoding="utf-8")
    second.write_text(train + held_out.replace("q", "w"), encoding="utf-8")
    share = len(held_out) / (len(train) + len(held_out))

    one = prepare(first, BPE, val_fraction=share)
    other = prepare(second, BPE, val_fraction=share)

    assert one.manifest.tokenizer == other.manifest.tokenizer
    assert one.identity != other.identity


def test_end_of_text_surrounds_the_documents_of_each_split(prepare, stories, tokens_of):
    dataset = prepare(stories, BPE)

    end = dataset.tokenizer.end_of_text
    for split in ("train", "val"):
        tokens = np.array(tokens_of(dataset, split))
        facts = dataset.manifest.splits[split]
        starts = dataset.split(split).document_starts
        assert facts.documents == len(starts)
        assert tokens[0] == tokens[-1] == end
        assert np.flatnonzero(tokens == end).tolist() == [*starts, len(tokens) - 1]
    assert dataset.manifest.split_rule == "documents"
    assert dataset.manifest.text.documents == 300


def test_without_an_end_of_text_documents_begin_at_their_first_character(prepare, stories):
    train = prepare(stories).split("train")

    assert (np.diff(train.document_starts) > 50).all()
    assert train.document_starts[0] == 0


@pytest.mark.parametrize("tokenizer", [{"name": "char"}, BPE])
def test_the_bytes_of_a_split_are_those_its_tokens_stand_for(
    prepare, text_file, tokenizer, tokens_of
):
    dataset = prepare(text_file, tokenizer, test_fraction=0.1)

    for split, facts in dataset.manifest.splits.items():
        stands_for = dataset.tokenizer.token_bytes()[tokens_of(dataset, split)]
        assert facts.bytes == stands_for.sum()
    total = sum(facts.bytes for facts in dataset.manifest.splits.values())
    assert total == dataset.manifest.text.bytes == text_file.stat().st_size


def test_threads_and_shards_do_not_change_the_tokens(prepare, text_file, tokens_of, tmp_path):
    plain = prepare(text_file, BPE)
    tokens = tokens_of(plain)
    shutil.rmtree(tmp_path / "cache")

    other = prepare(text_file, BPE, machine=Machine(num_threads=4, shard_tokens=100))

    assert tokens_of(other) == tokens
    assert len(other.manifest.splits["train"].shards) > 3


def test_the_same_text_gives_the_same_files(prepare, text_file, tmp_path):
    folder = prepare(text_file, BPE).folder
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    shutil.rmtree(tmp_path / "cache")

    prepare(text_file, BPE)

    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


def test_one_huge_line_is_prepared(prepare, tmp_path):
    path = tmp_path / "line.txt"
    path.write_text("春 the quick brown fox " * 870_000, encoding="utf-8")

    dataset = prepare(path, {"name": "bpe", "vocab_size": 300, "train_bytes": 100_000})

    assert path.stat().st_size > 20_000_000
    assert dataset.manifest.text.bytes == path.stat().st_size


def test_progress_is_told_task_by_task(prepare, text_file):
    class Watch(Silent):
        def __init__(self):
            self.tasks = []

        def start(self, task, total_bytes):
            self.tasks.append([task, total_bytes, 0])

        def advance(self, num_bytes):
            self.tasks[-1][2] += num_bytes

    watch = Watch()
    prepare(text_file, progress=watch)

    size = text_file.stat().st_size
    assert watch.tasks == [
        ["reading", size, size],
        ["making the tokenizer", size, size],
        ["encoding", size, size],
    ]


def test_a_prepared_folder_is_a_source(prepare, text_file, tmp_path, tokens_of):
    first = prepare(text_file, BPE)
    moved = first.folder.rename(tmp_path / "moved")

    second = prepare({"name": "tokens", "path": str(moved)})

    assert second.identity == first.identity
    assert tokens_of(second) == tokens_of(first)
    assert second.tokenizer.encode("The dog") == first.tokenizer.encode("The dog")


def test_a_source_of_a_plugin_needs_only_documents(prepare, tokens_of, monkeypatch):
    class LinesConfig(Section):
        name: Literal["lines"] = "lines"
        text: str

        def documents(self, utf8):
            yield from self.text.split("|")

    monkeypatch.setattr(SOURCES, "_sections", dict(SOURCES._sections))
    monkeypatch.setattr(SOURCES, "_builders", dict(SOURCES._builders))
    SOURCES.add(LinesConfig, None)

    dataset = prepare({"name": "lines", "text": "some words|and more"}, val_fraction=0.0)

    assert dataset.tokenizer.decode(tokens_of(dataset)) == "some wordsand more"
    assert dataset.split("train").document_starts.tolist() == [0, 10]
    assert names(dataset.folder)[0] == "manifest.json"


def test_a_split_that_was_not_held_out_is_named(prepare, text_file):
    with pytest.raises(DataError, match=r"there is no test split: data.test_fraction was 0"):
        prepare(text_file).split("test")


def test_opening_checks_the_tokenizer(prepare, text_file):
    folder = prepare(text_file).folder
    (folder / "tokenizer.json").write_text('{"kind": "char", "characters": "ab"}', encoding="utf-8")

    with pytest.raises(DataError, match="is not the tokenizer that made these tokens"):
        open_dataset(folder)


def test_a_dry_run_checks_the_source_and_writes_nothing(configure, tmp_path, text_file):
    check_data(configure(text_file))

    with pytest.raises(DataError, match="does not exist"):
        check_data(configure(tmp_path / "gone.txt"))
    assert list(tmp_path.iterdir()) == [text_file]


def test_reading_a_text_without_preparing_it_finds_what_is_wrong(configure, text_file, tmp_path):
    config = configure(text_file)
    check_text(config, 65)

    with pytest.raises(DataError, match=r"its train split has [0-9]+ tokens and needs 10000"):
        check_text(config, 10_000)
    text_file.write_bytes(b"bad \xff")
    with pytest.raises(DataError, match="is not UTF-8"):
        check_text(config, 65)
    assert list(tmp_path.iterdir()) == [text_file]
