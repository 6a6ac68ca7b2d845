"""Tokens on disk."""

import numpy as np
import pytest

from gptkit.data.shards import ShardWriter, TokenFile, token_dtype
from gptkit.errors import DataError


@pytest.fixture(params=["<u2", "<u4"])
def dtype(request):
    return np.dtype(request.param)


def write(folder, dtype, parts, shard_tokens=10):
    """Write arrays of tokens, each a document, and open them."""
    with ShardWriter(folder, "train", dtype, shard_tokens) as writer:
        for part in parts:
            writer.append(np.array(part, dtype), np.array([0]))
        writer.finish(np.array([99], dtype))
    return TokenFile(folder, writer.shards, dtype), writer


@pytest.mark.parametrize(("vocab_size", "size"), [(65, 2), (65536, 2), (65537, 4)])
def test_tokens_take_two_bytes_where_they_suffice(vocab_size, size):
    assert token_dtype(vocab_size).itemsize == size


@pytest.mark.parametrize("length", [1, 4, 9, 10, 11, 35])
def test_every_window_comes_back_across_shards(tmp_path, dtype, length):
    file, writer = write(tmp_path, dtype, [range(12), range(12, 15), range(15, 35)])
    whole = [*range(35), 99]

    assert len(file) == 36
    assert len(writer.shards) == 4
    for start in range(len(file) - length + 1):
        assert file.window(start, length).tolist() == whole[start : start + length]


def test_documents_begin_where_they_were_said_to(tmp_path, dtype):
    file, writer = write(tmp_path, dtype, [range(12), range(8), range(5), range(30)])

    assert file.document_starts.tolist() == [0, 12, 20, 25]
    assert [shard.documents for shard in writer.shards] == [1, 1, 2, 0, 0, 0]


def test_a_full_last_shard_is_no_empty_one_more(tmp_path, dtype):
    file, writer = write(tmp_path, dtype, [range(19)])

    assert (len(file), len(writer.shards)) == (20, 2)


def test_a_split_without_tokens_has_no_files(tmp_path, dtype):
    file, _ = write(tmp_path, dtype, [])

    assert len(file) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_another_size_is_an_error(tmp_path, dtype):
    _, writer = write(tmp_path, dtype, [range(5)])
    with (tmp_path / "train-00000.bin").open("ab") as file:
        file.write(b"x")

    with pytest.raises(DataError, match=r"train-00000.bin: has .* bytes, and the manifest says"):
        TokenFile(tmp_path, writer.shards, dtype)


@pytest.mark.parametrize("name", ["train-00000.bin", "train-00000.docs.npy"])
def test_a_missing_file_is_an_error(tmp_path, dtype, name):
    _, writer = write(tmp_path, dtype, [range(5)])
    (tmp_path / name).unlink()

    with pytest.raises(DataError, match=f"{name}: cannot be read"):
        TokenFile(tmp_path, writer.shards, dtype)


def test_damaged_document_starts_are_an_error(tmp_path, dtype):
    _, writer = write(tmp_path, dtype, [range(5)])
    (tmp_path / "train-00000.docs.npy").write_bytes(b"nothing")

    with pytest.raises(DataError, match=r"train-00000.docs.npy: is damaged"):
        TokenFile(tmp_path, writer.shards, dtype)
