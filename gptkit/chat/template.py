"""Chat templates: the Jinja text that turns a conversation into the text a model reads.

A model's template comes with it and may come from anyone: it runs in Jinja's sandbox, where it sees
the conversation and the names of two tokens, and no file, clock or attribute of Python's.

Reference: Hugging Face, "Chat templates", transformers documentation: the names that a template
may use, and how its lines are trimmed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gptkit.chat.conversation import Message
from gptkit.errors import DataError

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The template of a model that came with none."""
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


class Template:
    """A compiled template; names: what it may say for bos_token and eos_token."""

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        """Raises: DataError for a text that is no template."""
        try:
            self._template = _environment().from_string(source)
        except (TemplateError, RecursionError) as error:
            raise DataError(f"the chat template cannot be read: {error}") from None
        self._names = dict(names)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """Return the text of a conversation; add_generation_prompt: up to where an answer begins.

        Raises: DataError where the template refuses the conversation.
        """
        try:
            return self._template.render(
                messages=messages, add_generation_prompt=add_generation_prompt, **self._names
            )
        # A template is a program, and may fail in any way that one can.
        except Exception as error:
            what = str(error) or type(error).__name__
            raise DataError(f"the chat template refuses this conversation: {what}") from None


class _Generation(Extension):
    """{% generation %} marks what the assistant says, which is found here by other means."""

    tags = {"generation"}  # noqa: RUF012  its base class wants a set

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what the block holds."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    to_json: Callable[..., str] = _to_json
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = _raise
    return environment


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
