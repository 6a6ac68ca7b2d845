"""Bytes to text."""

import pytest

from gptkit.data import utf8 as module
from gptkit.data.utf8 import Utf8Policy, read_text
from gptkit.errors import DataError


@pytest.fixture(params=[1, 2, 3, 7, 1 << 20])
def block_bytes(request, monkeypatch):
    """How many bytes are read at once: characters then lie across blocks in every way."""
    monkeypatch.setattr(module, "BLOCK_BYTES", request.param)


def write(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    return path


def test_text_comes_back_whatever_the_blocks(tmp_path, block_bytes):
    text = "a ä 春 🧀 \ufffd\r\n\n end"

    read = "".join(read_text(write(tmp_path, text.encode()), Utf8Policy()))

    assert read == text


def test_a_byte_order_mark_is_no_text(tmp_path, block_bytes):
    read = "".join(read_text(write(tmp_path, b"\xef\xbb\xbfabc"), Utf8Policy()))

    assert read == "abc"


@pytest.mark.parametrize(
    ("data", "offset", "line", "byte"),
    [
        (b"abc\xff", 3, 1, "0xFF"),
        (b"\xef\xbb\xbfab\ncd\n\xc3(", 9, 3, "0xC3"),
        ("春\n春\n".encode() + b"\xe6\x98", 8, 3, "0xE6"),
        (b"ab\n\xed\xa0\x80", 3, 2, "0xED"),
    ],
)
def test_a_bad_byte_is_named_with_its_place(tmp_path, block_bytes, data, offset, line, byte):
    path = write(tmp_path, data)

    with pytest.raises(DataError) as error:
        list(read_text(path, Utf8Policy()))

    assert f"{path}: byte {offset} (line {line}) is {byte}, which is not UTF-8" in str(error.value)


def test_a_nul_byte_is_named_with_its_place(tmp_path, block_bytes):
    path = write(tmp_path, b"some\ntext\x00")

    with pytest.raises(DataError, match=r"byte 9 \(line 2\) is NUL, so this is not text"):
        list(read_text(path, Utf8Policy()))


def test_replaced_bytes_are_counted_and_genuine_marks_are_not(tmp_path, block_bytes):
    data = b"a\xff\xffb" + "\ufffd春".encode() + b"\xe6\x98c\x00\xe6"
    policy = Utf8Policy("replace")

    read = "".join(read_text(write(tmp_path, data), policy))

    assert read == data.decode(errors="replace")
    assert policy.replaced == read.count("\ufffd") - 1


def test_half_a_surrogate_pair_is_an_error_or_replaced():
    policy = Utf8Policy("replace")

    with pytest.raises(
        DataError, match=r"here: character 1 is '\\ud83e', half of a surrogate pair"
    ):
        Utf8Policy().well_formed("a\ud83e", "here")

    assert policy.well_formed("a\ud83e", "here") == "a\ufffd"
    assert policy.replaced == 1
