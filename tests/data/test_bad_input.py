"""What a user may hand over by mistake: one message, and nothing on disk."""

import json

import pytest

from gptkit.errors import DataError

BPE = {"name": "bpe", "vocab_size": 300}
GBK = "春眠不觉晓，处处闻啼鸟。".encode("gbk")


@pytest.mark.parametrize("tokenizer", [{"name": "char"}, BPE])
@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "a.txt: is empty"),
        ("a.txt", b"\xef\xbb\xbf", "a.txt: holds no text"),
        ("a.txt", b"x", "the text is too short: its train split has 0 tokens and needs 65 or more"),
        ("a.txt", b"some text", "a.txt: the text is too short: its train split has "),
        ("a.txt", b"line\nbad \xff\n", "a.txt: byte 9 (line 2) is 0xFF, which is not UTF-8"),
        ("a.txt", GBK, "it looks like GBK: convert it with"),
        ("a.txt", b"text\x00text", "a.txt: byte 4 (line 1) is NUL, so this is not text"),
        ("a.jsonl", b'{"text": 1}', "a.jsonl: line 1: field 'text' must be a string, not 1"),
        ("a.jsonl", b"\n\n", "a.jsonl: holds no text"),
        ("a.jsonl", b'{"text": ""}', "a.jsonl: holds no text"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_written(
    prepare, tmp_path, tokenizer, name, data, message
):
    path = tmp_path / name
    path.write_bytes(data)
    kind = "jsonl" if name.endswith(".jsonl") else "text"

    with pytest.raises(DataError) as error:
        prepare({"name": kind, "paths": [str(path)]}, tokenizer, min_train_tokens=65)

    assert message in str(error.value)
    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_shorter_than_a_window_is_an_error_also_when_prepared(prepare, text_file, text):
    enough = int(len(text) * 0.9)
    prepare(text_file, min_train_tokens=enough)

    with pytest.raises(DataError, match=r"lower model.context_length"):
        prepare(text_file, min_train_tokens=enough + 1)


def test_text_that_only_its_tokens_show_to_be_short_is_an_error(prepare, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("the same words again and again " * 50, encoding="utf-8")

    with pytest.raises(DataError, match=r"its train split has [0-9]+ tokens and needs 1500"):
        prepare(path, BPE, min_train_tokens=1500)

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("split", "fractions"), [("val", (0.01, 0.0)), ("test", (0.1, 0.01))])
def test_a_held_out_split_must_have_something_to_score(prepare, tmp_path, split, fractions):
    path = tmp_path / "a.txt"
    path.write_text(
        "some text of seventy characters, so that a hundredth is less than one", "utf-8"
    )

    with pytest.raises(
        DataError, match=f"its {split} split has 1 tokens and .* data.{split}_fraction"
    ):
        prepare(path, val_fraction=fractions[0], test_fraction=fractions[1])

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "holds no manifest.json"),
        (
            lambda folder: (folder / "train-00000.bin").write_bytes(b"ab"),
            "has 2 bytes, and the man",
        ),
        (lambda folder: (folder / "manifest.json").write_bytes(b"{"), "manifest.json: is damaged"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"[]"), "has format_version None"),
        (lambda folder: change(folder, format_version=9), "has format_version 9, and this gptkit"),
        (lambda folder: change(folder, dtype="uint8"), r"manifest.json: is damaged \(dtype: "),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: cannot be read"),
    ],
)
def test_a_spoiled_folder_of_tokens_is_an_error(prepare, text_file, tmp_path, spoil, message):
    folder = prepare(text_file).folder.rename(tmp_path / "tokens")
    spoil(folder)

    with pytest.raises(DataError, match=message):
        prepare({"name": "tokens", "path": str(folder)})


def change(folder, **facts):
    path = folder / "manifest.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**known, **facts}), encoding="utf-8")


def test_a_folder_of_tokens_that_is_not_there_is_an_error(prepare, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        prepare({"name": "tokens", "path": str(tmp_path / "gone")})


def test_bad_bytes_can_be_replaced_and_are_counted(prepare, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"some text \xff and more \xfe\xfe" * 9)

    dataset = prepare(path, on_bad_utf8="replace")

    assert dataset.manifest.text.replaced == 27


def test_a_cache_that_cannot_be_made_is_an_error(prepare, text_file, tmp_path):
    (tmp_path / "cache").touch()

    with pytest.raises(DataError, match="GPTKIT_DATA names another place"):
        prepare(text_file)
