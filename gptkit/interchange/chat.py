"""How conversations are written, in the files of Hugging Face and back.

tokenizer_config.json     chat_template, bos_token, eos_token
chat_template.jinja       the template, as newer versions of transformers keep it
generation_config.json    eos_token_id: all that end an answer
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptkit.chat.encoding import ChatEncoder
from gptkit.errors import DataError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer, ChatFormat

_JINJA, _CONFIG = "chat_template.jinja", "tokenizer_config.json"


def chat_format(tokenizer: Tokenizer) -> ChatFormat | None:
    """Return how a tokenizer writes conversations; None where it does not."""
    return tokenizer.chat if isinstance(tokenizer, BPETokenizer) else None


def stop_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids that end what a model writes: of a chat, its end of turn first."""
    end = tokenizer.end_of_text
    found: frozenset[int] = frozenset(() if end is None else (end,))
    if chat_format(tokenizer) is not None:
        with suppress(DataError):  # a template that came with a model, and refuses to be tried
            found = ChatEncoder(tokenizer).stop_tokens
    return sorted(found, key=lambda token: token == end)


def added_tokens(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Return the tokens that transformers finds in a rendered template, in the form of tokenizer.json.

    A model that does not chat has none, so that their text in a user's input stays text.
    """
    if not isinstance(tokenizer, BPETokenizer) or tokenizer.chat is None:
        return []
    habits = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    special = sorted(tokenizer.special_tokens.items(), key=lambda item: item[1])
    return [{"id": token, "content": name, **habits, "special": True} for name, token in special]


def with_template(tokenizer: BPETokenizer, folder: Path) -> BPETokenizer:
    """Return the tokenizer of a folder with the chat template beside it, where there is one."""
    settings = _settings(folder)
    template = settings.get("chat_template")
    if isinstance(template, list):  # several by name: one for tools, one for the rest
        named = {entry.get("name"): entry.get("template") for entry in template}
        template = named.get("default")
    if (folder / _JINJA).is_file():
        template = (folder / _JINJA).read_text(encoding="utf-8", errors="replace")
    if not isinstance(template, str):
        return tokenizer
    names = {key: _name(settings.get(key)) for key in ("bos_token", "eos_token")}
    known = {key: name for key, name in names.items() if name in tokenizer.special_tokens}
    return tokenizer.with_chat(template, names=known)


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _name(token: Any) -> str:
    return str(token.get("content", "") if isinstance(token, dict) else token)
