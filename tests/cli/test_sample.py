"""gptkit sample as people and programs use it."""

import io
import json
import os
import random
import sys

import pytest

from tests.cli.fuzz_sample import FILES, random_call

SHORT = ("--max-new-tokens", "6")


@pytest.fixture
def trained(project, train_once):
    """The project, with a run in it."""
    train_once("my.yaml", "--set", "training.max_steps=2")
    return project


@pytest.fixture
def stdin(monkeypatch):
    """Give a command its standard input."""

    def give(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return give


def answers(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_a_file_of_prompts_gives_a_line_of_json_each_in_order(trained, gptkit):
    (trained / "p.txt").write_bytes(b"the \r\nfoxes\n\nthe \n")

    found = answers(gptkit("sample", "--prompts-file", "p.txt", *SHORT))

    assert [answer["prompt"] for answer in found] == ["the ", "foxes", "", "the "]
    assert found[0] == found[3]
    [alone] = answers(gptkit("sample", "--prompt", "foxes", "--json", *SHORT))
    assert found[1] == alone


def test_jsonl_prompts_may_be_objects_or_texts_of_any_lines(trained, gptkit):
    prompts = ["the \nfoxes", "lazy"]
    lines = [json.dumps({"prompt": prompts[0], "id": 3}), json.dumps(prompts[1])]
    (trained / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")

    found = answers(gptkit("sample", "--prompts-file", "p.jsonl", "--num-samples", "3", *SHORT))

    assert [answer["prompt"] for answer in found] == prompts
    assert all(len(answer["samples"]) == 3 for answer in found)


def test_prompts_may_come_from_standard_input(trained, gptkit, stdin):
    stdin(b"the \nfoxes\n")

    found = answers(gptkit("sample", "--prompts-file", "-", *SHORT))

    assert [answer["prompt"] for answer in found] == ["the ", "foxes"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.txt", "the \né\n".encode(), "p.txt: prompt 2"),
        ("p.txt", b"", "holds no prompt"),
        ("p.txt", b"the \xff", "byte offset 4"),
        ("p.jsonl", b'"the "\n{"text": "a"}', 'p.jsonl:2: must be an object with a text under "prompt"'),
        ("p.jsonl", b'"the "\n{', "p.jsonl:2: is not JSON"),
    ],
)  # fmt: skip
def test_a_bad_prompt_is_named_before_anything_is_written(trained, gptkit, name, content, said):
    (trained / name).write_bytes(content)

    result = gptkit("sample", "--prompts-file", name, *SHORT)

    assert (result.code, result.out) == (2, "")
    assert said in result.err


@pytest.mark.parametrize(
    "options",
    [
        ("--prompts-file", "p.txt", "--prompt", "a"),
        ("--interactive", "--json"),
        ("--interactive", "--num-samples", "2"),
        ("--interactive", "-"),
        ("--log-probs",),
        ("--logit-bias", "999=1"),
        ("--logit-bias", "x"),
        ("--logit-bias", "1=2e6"),
        ("--dtype", "int4"),
    ],
)
def test_options_that_make_no_sense_are_refused(trained, gptkit, options):
    (trained / "p.txt").write_bytes(b"the \n")

    result = gptkit("sample", *options)

    assert (result.code, result.out) == (2, "")
    assert result.err


def test_log_probabilities_stand_beside_the_tokens(trained, gptkit):
    [answer] = answers(gptkit("sample", "--prompt", "the ", "--json", "--log-probs", *SHORT))

    [sample] = answer["samples"]
    assert len(sample["log_probs"]) == len(sample["tokens"]) == 6
    assert all(value < 0 for value in sample["log_probs"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_every_precision_writes_the_same_however_many_samples(trained, gptkit, dtype):
    args = ("sample", "--prompt", "the ", "--json", "--dtype", dtype, *SHORT)
    [five] = answers(gptkit(*args, "--num-samples", "5"))
    [two] = answers(gptkit(*args, "--num-samples", "2"))

    assert five["samples"][:2] == two["samples"]


def test_a_conversation_keeps_the_text(trained, gptkit, stdin):
    stdin(b"the quick\n\n")

    result = gptkit("sample", "--interactive", "--temperature", "0", *SHORT)

    assert result.code == 0
    first, more = result.out.splitlines()
    whole = gptkit(
        "sample", "--prompt", "the quick", "--no-echo", "--temperature", "0", "--max-new-tokens", "12"
    )  # fmt: skip
    assert first + more == whole.out.rstrip("\n")


def test_a_conversation_survives_bytes_that_are_no_text(trained, gptkit, stdin):
    stdin(b"\xff\nthe \n")

    result = gptkit("sample", "--interactive", *SHORT)

    assert result.code == 0
    assert "U+FFFD" in result.err
    assert len(result.out.splitlines()) >= 1


def test_no_call_ends_in_a_traceback(trained, gptkit, stdin):
    for name, content in FILES.items():
        (trained / name).write_bytes(content)
    for seed in range(int(os.environ.get("GPTKIT_FUZZED_CALLS", "60"))):
        args, data = random_call(random.Random(seed))
        stdin(data)

        result = gptkit("sample", *args)

        assert result.code in (0, 2), (args, data, result.err)
        assert "Traceback" not in result.err + result.out, (args, data)
        assert (result.code == 0) or result.err, (args, data)
