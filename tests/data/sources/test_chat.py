"""Conversations in files: the shapes that are read, and what is wrong with the others, by line."""

import json

import pytest

from gptkit.chat.conversation import from_text
from gptkit.data.sources import ChatConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "你好"}]}
ASKED = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}


def read(tmp_path, *lines, name="chat.jsonl"):
    path = tmp_path / name
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(data) + b"\n")
    source = ChatConfig(paths=(str(path),))
    return [from_text(text) for text in source.documents(Utf8Policy())]


def talk(*turns):
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize(
    ("row", "turns"),
    [
        (GOOD, [("user", "hi"), ("assistant", "你好")]),
        ({"prompt": "a", "response": "b"}, [("user", "a"), ("assistant", "b")]),
        (
            {"system": "s", "prompt": "a", "response": "b"},
            [("system", "s"), ("user", "a"), ("assistant", "b")],
        ),
        ({"instruction": "a", "output": "b"}, [("user", "a"), ("assistant", "b")]),
        ({"instruction": "a", "input": "", "output": "b"}, [("user", "a"), ("assistant", "b")]),
        ({"instruction": "a", "input": "c", "output": "b"}, [("user", "a\n\nc"), ("assistant", "b")]),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            [("user", "a"), ("assistant", "b")],
        ),
        (
            {"id": 1, "system": "", "conversations": [{"from": "user", "value": "a"},
                                                      {"from": "assistant", "value": "b"}]},
            [("user", "a"), ("assistant", "b")],
        ),
    ],
)  # fmt: skip
def test_each_shape_of_a_row_is_a_conversation(tmp_path, row, turns):
    assert read(tmp_path, row) == [talk(*turns)]


def test_blank_lines_and_a_byte_order_mark_count_for_nothing(tmp_path):
    lines = [b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), b"", b"  ", GOOD]

    assert len(read(tmp_path, *lines)) == 2


BAD = {
    "missing role": ({"messages": [{"content": "hi"}, SAID]}, "turn 1: has no 'role'"),
    "missing content": ({"messages": [ASKED, {"role": "assistant"}]}, "turn 2: has no 'content'"),
    "empty content": ({"messages": [{**ASKED, "content": ""}, SAID]}, "turn 1: the content is empty"),
    "blank content": ({"messages": [ASKED, {**SAID, "content": " \n"}]}, "turn 2: the content is"),
    "null content": ({"messages": [ASKED, {**SAID, "content": None}]}, "must be text, not null"),
    "parts": ({"messages": [{**ASKED, "content": [{"text": "x"}]}, SAID]}, "must be text, not"),
    "unknown role": ({"messages": [{**ASKED, "role": "bot"}, SAID]}, 'the role "bot" must be one'),
    "number for a role": ({"messages": [{**ASKED, "role": 3}, SAID]}, "the role 3 must be"),
    "no assistant": ({"messages": [ASKED]}, "no turn is the assistant's"),
    "late system": ({"messages": [ASKED, {**ASKED, "role": "system"}, SAID]}, "turn 2: only the first"),
    "no messages": ({"messages": []}, "field 'messages' must be a list"),
    "messages are text": ({"messages": "hi"}, "field 'messages' must be a list"),
    "a turn is text": ({"messages": ["hi", SAID]}, "turn 1: must be an object"),
    "plain text": ({"text": "hi"}, "holds 'text'; a conversation has"),
    "no response": ({"prompt": "hi"}, "has no field 'response'"),
    "no prompt": ({"response": "hi"}, "has no field 'prompt'"),
    "empty response": ({"prompt": "hi", "response": ""}, "field 'response': the content is empty"),
    "no output": ({"instruction": "hi", "input": "x"}, "has no field 'output'"),
    "unknown speaker": (
        {"conversations": [{"from": "dog", "value": "a"}, {"from": "gpt", "value": "b"}]},
        'the role "dog" must be one',
    ),
    "no value": ({"conversations": [{"from": "human"}]}, "turn 1: has no 'value'"),
    "broken JSON": (b'{"messages": [', "is not JSON"),
    "a list": ([ASKED, SAID], "must be a JSON object"),
    "half a character": (
        {"messages": [{**ASKED, "content": "\ud800"}, SAID]}, "half of a surrogate pair"
    ),
}  # fmt: skip


@pytest.mark.parametrize("row,words", BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path, row, words):
    with pytest.raises(DataError) as caught:
        read(tmp_path, GOOD, row, GOOD, name="对话.jsonl")

    (line,) = str(caught.value).splitlines()
    assert f"{tmp_path / '对话.jsonl'}: line 2: " in line
    assert words in line


def test_another_encoding_is_named_by_line(tmp_path):
    with pytest.raises(DataError, match=r"line 2.*GBK"):
        read(tmp_path, GOOD, json.dumps(GOOD, ensure_ascii=False).encode("gbk"))


def test_all_problems_are_told_at_once_but_not_thousands(tmp_path):
    with pytest.raises(DataError) as few:
        read(tmp_path, {"a": 1}, GOOD, {"b": 1})
    with pytest.raises(DataError) as many:
        read(tmp_path, *[{"a": 1}] * 1000)

    assert [
        f"line {n}" in line for n, line in zip((1, 3), str(few.value).splitlines(), strict=True)
    ]
    assert len(str(many.value).splitlines()) == 11


def test_a_conversation_is_found_again_by_its_number(tmp_path):
    read(tmp_path, GOOD, b"", GOOD)

    source = ChatConfig(paths=(str(tmp_path / "chat.jsonl"),))
    assert source.place_of(1) == f"{tmp_path / 'chat.jsonl'}: line 3"
