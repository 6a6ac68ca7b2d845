"""Sources that read files."""

import json

import pytest

from gptkit.data.sources import JsonlConfig, TextConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError


def texts(source, policy=None):
    documents = source.documents(policy or Utf8Policy())
    return [text if isinstance(text, str) else "".join(text) for text in documents]


@pytest.fixture
def jsonl(tmp_path):
    """Return a function that makes a source of these lines."""

    def make(*lines, **settings):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"\n".join(x if isinstance(x, bytes) else x.encode() for x in lines))
        return JsonlConfig(paths=(str(path),), **settings)

    return make


def test_every_file_is_a_document_with_its_own_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\n")
    (tmp_path / "b.txt").write_bytes("春眠\n".encode())

    assert texts(TextConfig(paths=(str(tmp_path),))) == ["one\r\ntwo\rthree\n", "春眠\n"]


def test_a_single_path_need_not_be_a_list():
    assert TextConfig.model_validate({"paths": "a.txt"}).paths == ("a.txt",)


def test_every_line_is_a_document_and_blank_lines_are_none(jsonl):
    source = jsonl('{"text": "one\\ntwo"}', "", "  \r", '{"id": 1, "text": "春🧀"}\r')

    assert texts(source) == ["one\ntwo", "春🧀"]


def test_escaped_surrogate_pairs_are_one_character(jsonl):
    assert texts(jsonl(json.dumps({"text": "🧀"}))) == ["🧀"]


def test_a_byte_order_mark_is_no_json(jsonl):
    assert texts(jsonl(b'\xef\xbb\xbf{"text": "a"}')) == ["a"]


def test_the_field_can_be_named(jsonl):
    assert texts(jsonl('{"body": "a"}', text_field="body")) == ["a"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "a.jsonl: line 3: is not JSON"),
        ("[" * 100_000, "a.jsonl: line 3: is not JSON"),
        ("[1]", 'line 3: must be a JSON object such as {"text": ...}'),
        ('{"id": 1, "body": 2}', "line 3: has no field 'text', only 'id', 'body'"),
        ("{}", "line 3: has no field 'text', only an empty object"),
        ('{"text": null}', "line 3: field 'text' must be a string, not null"),
        ('{"text": ["a"]}', "line 3: field 'text' must be a string, not [\"a\"]"),
        ('{"text": "\\ud800"}', "line 3: field 'text': character 0 is '\\ud800', half of a"),
        (b'{"text": "\xff"}', "byte 27 (line 3) is 0xFF, which is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(jsonl, line, message):
    with pytest.raises(DataError) as error:
        texts(jsonl('{"text": "one"}', "", line))

    assert message in str(error.value)


def test_bad_bytes_in_a_line_can_be_replaced_and_counted(jsonl):
    policy = Utf8Policy("replace")

    read = texts(jsonl(b'{"text": "a\xff\xfe"}', '{"text": "\\ud800"}'), policy)

    assert read == ["a\ufffd\ufffd", "\ufffd"]
    assert policy.replaced == 3


def test_the_field_is_part_of_the_identity(jsonl):
    assert jsonl("{}").identity() != jsonl("{}", text_field="body").identity()
