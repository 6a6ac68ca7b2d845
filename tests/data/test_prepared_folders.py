"""Prepared folders: found again, made anew, complete or not there."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gptkit.data import build
from gptkit.data.prepare import clear, prepare_dataset, prepared_path
from gptkit.errors import DataError

ROOT = Path(__file__).parents[2]
BPE = {"name": "bpe", "vocab_size": 300}


@pytest.fixture
def builds(monkeypatch):
    """Counts how often a dataset is built."""
    counted = []
    read_corpus = build.read_corpus

    def count(*args):
        counted.append(args)
        return read_corpus(*args)

    monkeypatch.setattr(build, "read_corpus", count)
    return counted


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_unchanged_text_is_not_prepared_again(prepare, text_file, builds):
    first = prepare(text_file)
    second = prepare(text_file)

    assert len(builds) == 1
    assert first.identity == second.identity


def test_an_edit_of_the_same_size_and_time_is_noticed(prepare, text_file, builds):
    first = prepare(text_file)
    times = text_file.stat()
    text_file.write_bytes(text_file.read_bytes().replace(b"quick", b"thick"))
    os.utime(text_file, ns=(times.st_atime_ns, times.st_mtime_ns))

    second = prepare(text_file)

    assert len(builds) == 2
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"val_fraction": 0.2},
        {"test_fraction": 0.1},
        {"on_bad_utf8": "replace"},
        {"tokenizer": BPE},
        {"tokenizer": {"name": "bpe", "vocab_size": 301}},
    ],
)
def test_other_settings_are_prepared_again(prepare, text_file, builds, settings):
    prepare(text_file)
    prepare(text_file, **settings)

    assert len(builds) == 2


def test_how_documents_are_masked_is_no_matter_of_the_tokens(prepare, text_file, builds):
    prepare(text_file)
    prepare(text_file, documents="mask")

    assert len(builds) == 1


def test_a_moved_text_is_found_again(prepare, text_file, tmp_path, builds):
    prepare(text_file)
    prepare(text_file.rename(tmp_path / "renamed.txt"))

    assert len(builds) == 1


@pytest.mark.parametrize("name", ["train-00000.bin", "tokenizer.json", "manifest.json"])
def test_a_damaged_folder_is_prepared_again(prepare, text_file, tokens_of, builds, name):
    first = prepare(text_file)
    tokens = tokens_of(first)
    (first.folder / name).write_bytes(b"{}")

    assert tokens_of(prepare(text_file)) == tokens
    assert len(builds) == 2


def test_two_at_once_both_finish_and_one_wins(prepare, text_file, tmp_path, tokens_of):
    results, barrier = [], threading.Barrier(3)

    def work():
        barrier.wait()
        results.append(prepare(text_file, BPE))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({dataset.folder for dataset in results}) == len(names(results[0].folder.parent)) == 1
    assert tokens_of(results[0]) == tokens_of(results[1]) == tokens_of(results[2])


@pytest.mark.parametrize(
    "stage", ["read_corpus", "_make_tokenizer", "_write_splits", "write_manifest"]
)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_stop_in_the_middle_leaves_nothing(prepare, text_file, monkeypatch, stage, error):
    whole = getattr(build, stage)

    def stop(*args):
        whole(*args)
        raise error

    monkeypatch.setattr(build, stage, stop)

    with pytest.raises(error):
        prepare(text_file, BPE)

    assert list(text_file.parent.iterdir()) == [text_file]


@pytest.mark.parametrize("more", ["The", "unseen: \u00a9"])
def test_a_text_that_changes_meanwhile_is_an_error(more, prepare, text_file, monkeypatch):
    make = build._make_tokenizer

    def make_then_change(*args):
        tokenizer = make(*args)
        text_file.write_text(text_file.read_text(encoding="utf-8") + more, encoding="utf-8")
        return tokenizer

    monkeypatch.setattr(build, "_make_tokenizer", make_then_change)

    with pytest.raises(DataError, match="the text changed while it was being prepared"):
        prepare(text_file)

    assert list(text_file.parent.iterdir()) == [text_file]


def test_clearing_removes_what_was_prepared_and_nothing_else(prepare, text_file, tmp_path):
    folder = prepare(text_file).folder
    cache = folder.parent
    (cache / ".unfinished-text-1").mkdir()
    (cache / "mine").mkdir()
    (cache / "mine.txt").touch()

    assert sorted(clear(cache)) == [cache / ".unfinished-text-1", folder]
    assert names(cache) == ["mine", "mine.txt"]
    assert clear(tmp_path / "nowhere") == []


def test_what_came_from_a_url_with_a_hash_needs_no_file_once_prepared(
    prepare, text_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("GPTKIT_DATA", str(tmp_path / "data"))
    sha256 = hashlib.sha256(text_file.read_bytes()).hexdigest()
    source = {"name": "url", "url": text_file.as_uri(), "sha256": sha256}
    first = prepare(source)
    text_file.unlink()
    shutil.rmtree(tmp_path / "data")

    assert prepare(source).identity == first.identity


def test_a_url_without_a_hash_is_known_by_what_came(prepare, text_file, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTKIT_DATA", str(tmp_path / "data"))
    first = prepare({"name": "url", "url": text_file.as_uri()})
    text_file.write_text("another text, downloaded anew " * 9, encoding="utf-8")

    assert prepare({"name": "url", "url": text_file.as_uri()}).folder == first.folder
    shutil.rmtree(tmp_path / "data")
    assert prepare({"name": "url", "url": text_file.as_uri()}).folder != first.folder


def test_a_crash_leaves_nothing_that_would_be_used(prepare, text_file, tokens_of, tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from gptkit.data import build;"
        "from gptkit.data.config import DataConfig;"
        "from gptkit.data.prepare import prepare_dataset;"
        "build.write_manifest = lambda *args: os._exit(9);"
        "data = {'source': {'paths': sys.argv[1]}, 'tokenizer': {'name': 'char'}};"
        "prepare_dataset(DataConfig.model_validate(data), cache_dir=Path(sys.argv[2]))"
    )
    cache = tmp_path / "cache" / "prepared"
    code = subprocess.run(
        [sys.executable, "-c", script, str(text_file), str(cache)], cwd=ROOT, check=False
    ).returncode
    (left,) = names(cache)

    dataset = prepare(text_file)

    assert code == 9
    assert left.startswith(".unfinished-")
    assert len(tokens_of(dataset)) == dataset.manifest.splits["train"].tokens


def test_where_the_data_will_lie_is_known_before(configure, text_file, tmp_path):
    config = configure(text_file)

    path = prepared_path(config, tmp_path)

    assert not path.exists()
    assert prepare_dataset(config, cache_dir=tmp_path).folder == path
