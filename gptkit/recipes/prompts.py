"""Where prompts come from: an option, a file, standard input, a file of many."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gptkit.errors import ConfigError
from gptkit.tokenizers.base import without_surrogates

STDIN = "-"


def read_prompt(prompt: str | None, prompt_file: str | None) -> str | None:
    """Return the one prompt; None where there is none.

    Raises: ConfigError, where both are given or the file cannot be read.
    """
    if prompt is not None and prompt_file is not None:
        raise ConfigError("--prompt and --prompt-file: give one of them")
    if STDIN in (prompt, prompt_file):
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return prompt if prompt_file is None else _read(prompt_file)


def read_prompts(file: str) -> list[str]:
    """Return the prompts of a file, one a line; of a .jsonl file the "prompt" of each object.

    Raises: ConfigError naming the line.
    """
    if file == STDIN:
        text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    else:
        text = _read(file)
    # Not splitlines(): a form feed or U+2028 may be part of a prompt.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if not text:
        raise ConfigError(f"{file}: holds no prompt; write one on each line")
    if not file.endswith(".jsonl"):
        return lines
    return [
        _prompt_of(line, f"{file}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _prompt_of(line: str, place: str) -> str:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigError(f"{place}: is not JSON") from None
    prompt = found.get("prompt") if isinstance(found, dict) else found
    if not isinstance(prompt, str):
        raise ConfigError(f'{place}: must be an object with a text under "prompt", or a text')
    return without_surrogates(prompt)


def _read(file: str) -> str:
    try:
        return Path(file).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte offset {error.start})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{file}: cannot be read: {reason}") from None
