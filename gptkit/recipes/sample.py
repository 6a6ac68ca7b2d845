"""gptkit sample: text from a trained model, to a person, a pipe or a program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gptkit.errors import ConfigError, GptkitError
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run, load_run
from gptkit.recipes.writing import WritingOptions, prompt_tokens
from gptkit.runtime.interrupt import ctrl_c_raises

_PARTING = "---"


@dataclass(frozen=True)
class SampleRequest:
    """What to write and how to print it."""

    prompt: str | None
    """None: the start of a document; "-": from standard input."""
    prompt_file: str | None
    options: WritingOptions
    num_samples: int
    echo: bool
    """Print the prompt before its continuation."""
    as_json: bool
    interactive: bool


def run_sample(
    path: Path | None, request: SampleRequest, *, checkpoint: str | None, allow_plugins: bool
) -> None:
    """Print the samples that were asked for.

    Raises: ConfigError, PromptError, CheckpointError.
    """
    prompt = _read_prompt(request)
    loaded = load_run(path, checkpoint=checkpoint, allow_plugins=allow_plugins, say=say)
    say(f"{loaded.run_dir}, step {loaded.step}")
    try:
        if request.interactive:
            with ctrl_c_raises(), suppress(KeyboardInterrupt):
                _converse(loaded, request)
        elif request.as_json:
            print(json.dumps(_as_json(loaded, prompt, request), ensure_ascii=False))
        else:
            _print_samples(loaded, prompt, request)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _read_prompt(request: SampleRequest) -> str | None:
    if request.prompt is not None and request.prompt_file is not None:
        raise ConfigError("--prompt and --prompt-file: give one of them")
    if "-" in (request.prompt, request.prompt_file):
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    if request.prompt_file is None:
        return request.prompt
    try:
        return Path(request.prompt_file).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{request.prompt_file}: not UTF-8 text (byte offset {error.start})"
        ) from None
    except OSError as error:
        raise ConfigError(f"{request.prompt_file}: cannot be read: {error.strerror}") from None


def _print_samples(loaded: Run, prompt: str | None, request: SampleRequest) -> None:
    _, text = prompt_tokens(loaded.tokenizer, prompt)
    writing = loaded.write(prompt, num_samples=request.num_samples, **request.options)
    for i in range(request.num_samples):
        if i:
            print(_PARTING)
        if request.echo:
            _print_piece(text)
        for piece in writing.pieces(i):
            _print_piece(piece)
        print()


def _as_json(loaded: Run, prompt: str | None, request: SampleRequest) -> dict[str, object]:
    writing = loaded.write(prompt, num_samples=request.num_samples, **request.options)
    texts = ["".join(writing.pieces(i)) for i in range(request.num_samples)]
    samples = [
        {
            "text": text,
            "tokens": writing.tokens[i],
            "finish_reason": writing.finish_reason(i),
        }
        for i, text in enumerate(texts)
    ]
    return {
        "run": str(loaded.run_dir),
        "step": loaded.step,
        "prompt": prompt or "",
        "seed": request.options.get("seed"),
        "samples": samples,
    }


def _converse(loaded: Run, request: SampleRequest) -> None:
    """Continue one prompt after another; Ctrl-C ends a text, Ctrl-D (or an empty input) the conversation."""
    say("a prompt a line; Ctrl-C ends the text, Ctrl-D ends")
    for prompt in _prompts():
        try:
            for piece in loaded.stream(prompt, **request.options):
                _print_piece(piece)
        except KeyboardInterrupt:
            pass
        except GptkitError as error:
            say(f"error: {error}")
        print()


def _prompts() -> Iterator[str]:
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "")
        except (EOFError, KeyboardInterrupt):
            return


def _print_piece(piece: str) -> None:
    print(piece, end="", flush=True)
