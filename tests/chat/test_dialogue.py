"""A conversation that is kept within the context."""

import pytest

from gptkit.chat.dialogue import Dialogue
from gptkit.chat.encoding import ChatEncoder
from gptkit.errors import PromptError


def talk(chatty, context, system=None):
    return Dialogue(ChatEncoder(chatty), context, system)


def test_what_was_said_before_is_read_again(chatty):
    dialogue = talk(chatty, 400, "be kind")
    dialogue.ask("hello")
    dialogue.answer("you")

    text = chatty.decode(dialogue.ask("again"))

    said = [("system", "be kind"), ("user", "hello"), ("assistant", "you"), ("user", "again")]
    assert text == "".join(
        f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in said
    ) + ("<|im_start|>assistant\n")


def test_the_oldest_turns_go_first_and_the_system_stays(chatty):
    dialogue = talk(chatty, 120, "be kind")
    for i in range(9):
        tokens = dialogue.ask(f"question {i}")
        dialogue.answer(f"answer {i}")
        assert len(tokens) <= 90

    text = chatty.decode(tokens)
    assert text.startswith("<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\n")
    assert "question 8" in text and "question 0" not in text
    assert dialogue.forgotten > 0 and dialogue.forgotten % 2 == 0
    assert len(dialogue.messages()) == 19


def test_what_is_too_long_by_itself_is_refused_and_not_remembered(chatty):
    dialogue = talk(chatty, 60)

    with pytest.raises(PromptError, match="45 at most"):
        dialogue.ask("long " * 100)

    assert dialogue.messages() == []
    dialogue.ask("short")


def test_a_reset_keeps_what_the_system_says(chatty):
    dialogue = talk(chatty, 200, "be kind")
    dialogue.ask("a")
    dialogue.reset()

    assert dialogue.messages() == [{"role": "system", "content": "be kind"}]
