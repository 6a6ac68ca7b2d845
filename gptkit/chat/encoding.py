"""Conversations as tokens, and which of them are the assistant's to say.

    <|im_start|>user\\nhi<|im_end|>\\n<|im_start|>assistant\\nhello<|im_end|>\\n
                                                          ^^^^^^^^^^^^^^^  learned

What the assistant says is found by rendering twice: the text of messages[:i] that asks for an
answer must begin the text of messages[:i + 1], and the rest is the answer. A template that writes
what came before otherwise, once there is an answer, cannot be learned by one pass and is refused.

Special tokens are those that the template writes. The same text inside what somebody says is marked
before rendering with a character that no text holds, and stays text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gptkit.chat.conversation import Message
from gptkit.chat.template import Template
from gptkit.errors import ConfigError, DataError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer

_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Characters that Unicode promises never to assign."""
_PROBE = (Message(role="user", content="a"), Message(role="assistant", content="b"))


@dataclass(frozen=True)
class EncodedConversation:
    """Tokens and, for each, whether it is learned."""

    tokens: list[int]
    targets: list[bool]


class ChatEncoder:
    """Turns conversations into tokens by a tokenizer's own template."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises: ConfigError for a tokenizer without a template."""
        if not isinstance(tokenizer, BPETokenizer) or tokenizer.chat is None:
            raise ConfigError(
                "this model has no chat template: gptkit finetune teaches a model to chat"
            )
        self._tokenizer = tokenizer
        self._template = Template(tokenizer.chat.template, tokenizer.chat.names)
        self._num_bytes = tokenizer.token_bytes().tolist()
        names = sorted(tokenizer.special_tokens, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, names))})" if names else "(?!)()")

    def encode(self, messages: Sequence[Message], *, learned_from: int = 0) -> EncodedConversation:
        """Return the tokens of a conversation, with those that the assistant says marked.

        learned_from: the first turn, from 0, whose answer is marked.

        Raises: DataError where the template refuses it, or writes the past in two ways.
        """
        mark, marked = self._marked(messages)
        text = self._template.render(marked)
        tokens, places = self._tokens(text, mark)
        targets = [False] * len(tokens)
        for i, message in enumerate(marked):
            if message["role"] != "assistant" or i < learned_from:
                continue
            before = self._template.render(marked[:i], add_generation_prompt=True)
            after = self._template.render(marked[: i + 1])
            if not (after.startswith(before) and text.startswith(after)):
                raise DataError(
                    f"the chat template writes what came before turn {i + 1} in another way once it is"
                    " answered: it cannot be learned from a whole conversation"
                )
            first, end = (len(part.replace(mark, "").encode()) for part in (before, after))
            self._mark_answer(tokens, places, targets, first, end)
        return EncodedConversation(tokens, targets)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens up to where the assistant's next answer begins.

        Raises: DataError where the template refuses the conversation.
        """
        mark, marked = self._marked(messages)
        return self._tokens(self._template.render(marked, add_generation_prompt=True), mark)[0]

    @cached_property
    def stop_tokens(self) -> frozenset[int]:
        """The special token that ends an answer, where there is one, and end-of-text."""
        probe = self.encode(_PROBE)
        last = [token for token, said in zip(probe.tokens, probe.targets, strict=True) if said][-1:]
        end = self._tokenizer.end_of_text
        return frozenset(
            token for token in (*last, end) if token is not None and self._num_bytes[token] == 0
        )

    @cached_property
    def stop_texts(self) -> tuple[str, ...]:
        """What ends an answer where that is no special token: the text that comes after one."""
        before = self._template.render(_PROBE[:1], add_generation_prompt=True)
        rest = self._template.render(_PROBE)[len(before) :].strip().removeprefix("b").strip()
        return (rest,) if rest and not self._special.search(rest) else ()

    def _marked(self, messages: Sequence[Message]) -> tuple[str, list[Message]]:
        """Return a mark, and the messages with it inside each text that looks like a special token."""
        said = "".join(message["content"] for message in messages)
        mark = next((mark for mark in _MARKS if mark not in said), None)
        if mark is None:
            raise DataError("the text holds every one of Unicode's characters for internal use")

        def broken(match: re.Match[str]) -> str:
            return f"{match[0][:1]}{mark}{match[0][1:]}"

        return mark, [
            Message(role=m["role"], content=self._special.sub(broken, m["content"]))
            for m in messages
        ]

    def _tokens(self, text: str, mark: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a rendered text, and the byte at which each begins."""
        tokens: list[int] = []
        places: list[int] = []
        place = 0
        for i, part in enumerate(self._special.split(text)):
            if i % 2:
                tokens.append(self._tokenizer.special_tokens[part])
                places.append(place)
                place += len(part.encode())
            elif part:
                for token in self._tokenizer.encode(part.replace(mark, "")):
                    tokens.append(token)
                    places.append(place)
                    place += self._num_bytes[token]
        return tokens, places

    def _mark_answer(
        self, tokens: list[int], places: list[int], targets: list[bool], first: int, end: int
    ) -> None:
        """Mark the tokens that reach into an answer's bytes, up to the special token that ends it."""
        ends = [*places[1:], end]
        answer = [i for i, place in enumerate(places) if place < end and ends[i] > first]
        special = [i for i in answer if self._num_bytes[tokens[i]] == 0]
        if special:
            rest = [i for i in answer if i > special[-1]]
            if not self._tokenizer.decode([tokens[i] for i in rest]).strip():
                answer = [i for i in answer if i <= special[-1]]
        for i in answer:
            targets[i] = True
