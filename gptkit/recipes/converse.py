"""gptkit sample --interactive: a text that a person and a model write in turns."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import suppress

from gptkit.errors import GptkitError
from gptkit.generation.engine import Sample
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run
from gptkit.recipes.writing import Writing, WritingOptions, prompt_tokens
from gptkit.runtime.interrupt import ctrl_c_raises


def converse(loaded: Run, first: str | None, options: WritingOptions) -> None:
    """Continue the text with what the model writes after each line; the text so far is the context.

    first: a prompt to begin with, without asking. Ctrl-C ends what the model writes, or, at a prompt,
    the conversation; Ctrl-D, or the end of the input, ends it too.
    """
    say("a line to go on from, or an empty one; Ctrl-C ends the text, Ctrl-D ends")
    text: list[int] = []
    with ctrl_c_raises(), suppress(KeyboardInterrupt):
        for turn, line in enumerate(lines(first)):
            try:
                # An empty line asks for more; at first, for the start of a document.
                added = prompt_tokens(loaded.tokenizer, line)[0] if line or not text else []
                text = _turn(loaded, [*text, *added], turn, options)
            except GptkitError as error:
                say(f"error: {error}")


def _turn(loaded: Run, text: list[int], turn: int, options: WritingOptions) -> list[int]:
    """Print what the model adds to `text`, and return both together."""
    sample = Sample(text, index=turn)
    writing = Writing(loaded.engine, loaded.tokenizer, [sample], keep=True, **options)
    try:
        for piece in writing.pieces(0):
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        writing.end()
    print(flush=True)
    end = loaded.tokenizer.end_of_text
    ended = [end] if sample.finish_reason == "eos" and end is not None else []
    return [*text, *sample.tokens, *ended]


def lines(first: str | None) -> Iterator[str]:
    """Yield `first`, where there is one, and the lines of the input: typed, with editing, or piped."""
    if first is not None:
        yield first
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # whatever bytes a pipe holds
    with suppress(ImportError):  # Windows has none; it edits lines by itself
        import readline  # noqa: F401  input() then has editing and a history
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
