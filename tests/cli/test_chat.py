"""gptkit chat, through pipes."""

import io
import json
import sys

import pytest


@pytest.fixture
def chat(chat_project, gptkit, monkeypatch):
    """Type lines to `gptkit chat`, with a model that was taught a few answers."""
    assert gptkit("finetune", "ft.yaml").code == 0

    def run(*lines, options=()):
        text = "".join(f"{line}\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return gptkit("chat", *options)

    return run


def test_a_line_is_a_turn_and_the_seed_decides_the_answers(chat):
    options = ("--max-new-tokens", "5")
    first, second = chat("fox 1?", "你好", options=options), chat("fox 1?", "你好", options=options)
    other = chat("/seed 7", "fox 1?", "你好", options=options)

    assert first.code == second.code == 0, first.err
    assert first.out == second.out
    assert first.out.endswith("\n")
    assert other.out != first.out
    assert "runs/ft, step" in first.err


def test_a_conversation_is_saved_as_one_to_learn_from(chat, chat_project):
    result = chat(
        "fox 1?", "/save 对话.jsonl", "/save 对话.jsonl", "/exit", "never read",
        options=("--system", "be kind", "--max-new-tokens", "3"),
    )  # fmt: skip

    row = json.loads((chat_project / "对话.jsonl").read_text(encoding="utf-8"))
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][2]["content"] == result.out.strip()
    assert "is there already" in result.err


def test_a_reset_forgets(chat, chat_project):
    options = ("--max-new-tokens", "3")

    chat("fox 1?", "/reset", "fox 2?", "/save a.jsonl", options=options)

    row = json.loads((chat_project / "a.jsonl").read_text(encoding="utf-8"))
    assert row["messages"][0] == {"role": "user", "content": "fox 2?"}


@pytest.mark.parametrize("line", ["/nonsense", "/seed x", "/save", "/reset all"])
def test_an_unknown_command_says_which_there_are(chat, line):
    result = chat(line)

    assert result.code == 0
    assert result.out == ""
    assert f"error: {line}" in result.err and "/save FILE" in result.err.splitlines()[-1]


def test_what_is_too_long_is_refused_and_the_conversation_goes_on(chat):
    result = chat("long " * 100, "fox 1?", options=("--max-new-tokens", "3"))

    assert result.code == 0
    assert "48 at most" in result.err
    assert result.out.count("\n") >= 1


def test_the_oldest_turns_go_and_that_is_said(chat):
    result = chat(*["fox 1?"] * 4, options=("--max-new-tokens", "2"))

    assert result.code == 0
    assert "out of the model's sight" in result.err


def test_a_model_that_was_not_taught_to_chat_is_refused(chat_project, gptkit):
    result = gptkit("chat", "runs/base")

    assert result.code == 2
    assert "gptkit finetune" in result.err


def test_a_bad_option_is_refused_before_the_first_question(chat):
    assert chat("fox 1?", options=("--top-p", "7")).code == 2
