"""Pairs of answers in files: the shapes that are read, and what is wrong with the others, by line."""

import json

import pytest

from gptkit.data.sources import PreferenceConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError

ASKED = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "ho"}
WORSE = {"role": "assistant", "content": "no"}
SYSTEM = {"role": "system", "content": "s"}
GOOD = {"prompt": "hi", "chosen": "ho", "rejected": "no"}


def read(tmp_path, *lines, name="pairs.jsonl"):
    path = tmp_path / name
    data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(data) + b"\n")
    source = PreferenceConfig(paths=(str(path),))
    return [source.lessons(text) for text in source.documents(Utf8Policy())]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (GOOD, [ASKED]),
        ({**GOOD, "system": "s"}, [SYSTEM, ASKED]),
        ({"prompt": [ASKED], "chosen": [SAID], "rejected": [WORSE]}, [ASKED]),
        ({"prompt": [ASKED], "chosen": [ASKED, SAID], "rejected": [ASKED, WORSE]}, [ASKED]),
        ({"prompt": "hi", "chosen": [ASKED, SAID], "rejected": [ASKED, WORSE]}, [ASKED]),
        ({"prompt": "hi", "chosen": [SAID], "rejected": [WORSE]}, [ASKED]),
        ({"prompt": "hi ", "chosen": [SYSTEM, ASKED, SAID], "rejected": [SYSTEM, ASKED, WORSE]},
         [SYSTEM, ASKED]),
        ({"chosen": [ASKED, SAID], "rejected": [ASKED, WORSE]}, [ASKED]),
        ({"prompt": [ASKED, SAID, ASKED], "chosen": "ho", "rejected": "no"}, [ASKED, SAID, ASKED]),
    ],
)  # fmt: skip
def test_each_shape_of_a_row_is_a_pair(tmp_path, row, prompt):
    ((chosen, rejected),) = read(tmp_path, row)

    assert chosen == ([*prompt, SAID], len(prompt))
    assert rejected == ([*prompt, WORSE], len(prompt))


def test_what_is_compared_begins_where_the_two_part(tmp_path):
    shared = [ASKED, SAID, ASKED]

    ((chosen, rejected),) = read(
        tmp_path, {"chosen": [*shared, SAID, ASKED, SAID], "rejected": [*shared, WORSE]}
    )

    assert chosen.learned_from == rejected.learned_from == 3


BAD = {
    "no rejected": ({"prompt": "hi", "chosen": "ho"}, "has no field 'rejected', only 'prompt'"),
    "no chosen": ({"prompt": "hi", "rejected": "ho"}, "has no field 'chosen'"),
    "a conversation": ({"messages": [ASKED, SAID]}, "has no field 'chosen', only 'messages'"),
    "no prompt": ({"chosen": "ho", "rejected": "no"}, "has no field 'prompt' that the text of"),
    "the same": ({**GOOD, "rejected": "ho"}, "are the same: there is nothing to prefer"),
    "empty prompt": ({**GOOD, "prompt": " "}, "field 'prompt': the content is empty"),
    "empty answer": ({**GOOD, "chosen": ""}, "field 'chosen': the content is empty"),
    "null answer": ({**GOOD, "rejected": None}, "field 'rejected': the content must be text"),
    "number": ({**GOOD, "rejected": 3}, "field 'rejected': the content must be text, not 3"),
    "number as a prompt": ({**GOOD, "prompt": 3}, "field 'prompt': the content must be text"),
    "no turns": ({**GOOD, "chosen": []}, "field 'chosen' must be a list such as"),
    "no turns to answer": ({**GOOD, "prompt": []}, "field 'prompt' must be a list such as"),
    "a turn is text": ({**GOOD, "chosen": ["ho"]}, "field 'chosen': turn 1: must be an object"),
    "missing role": ({**GOOD, "chosen": [{"content": "ho"}]}, "field 'chosen': turn 1: has no 'role'"),
    "missing content": ({**GOOD, "chosen": [ASKED, {"role": "assistant"}]}, "turn 2: has no 'content'"),
    "unknown role": ({**GOOD, "chosen": [{**SAID, "role": "bot"}]}, 'the role "bot" must be one'),
    "late system": ({"chosen": [ASKED, SYSTEM, SAID], "rejected": [ASKED, WORSE]}, "turn 2: only the first"),
    "ends with the user": ({"chosen": [ASKED, SAID, ASKED], "rejected": [ASKED, WORSE]},
                           "field 'chosen': the last turn must be the assistant's"),
    "no assistant": ({"chosen": [ASKED], "rejected": [ASKED, WORSE]}, "no turn is the assistant's"),
    "two prompts": ({"chosen": [ASKED, SAID], "rejected": [{**ASKED, "content": "x"}, WORSE]},
                    "field 'chosen': turn 1 is not the assistant's"),
    "one goes on": ({"chosen": [ASKED, SAID], "rejected": [ASKED, SAID, ASKED, WORSE]},
                    "field 'chosen': the other one begins with all of it"),
    "broken JSON": (b'{"prompt": [', "is not JSON"),
    "half a character": ({**GOOD, "chosen": "\ud800"}, "half of a surrogate pair"),
}  # fmt: skip


@pytest.mark.parametrize("row,words", BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path, row, words):
    with pytest.raises(DataError) as caught:
        read(tmp_path, GOOD, row, GOOD, name="对.jsonl")

    (line,) = str(caught.value).splitlines()
    assert f"{tmp_path / '对.jsonl'}: line 2: " in line
    assert words in line


def test_another_encoding_is_named_by_line(tmp_path):
    row = json.dumps({**GOOD, "prompt": "你好"}, ensure_ascii=False).encode("gbk")

    with pytest.raises(DataError, match=r"line 2.*GBK"):
        read(tmp_path, GOOD, row)
