"""gptkit sample: text from a trained model, to a person, a pipe or a program."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gptkit.errors import ConfigError, PromptError
from gptkit.generation.engine import Sample
from gptkit.recipes.converse import converse
from gptkit.recipes.journal import say
from gptkit.recipes.load import DType, Run, load_run
from gptkit.recipes.prompts import STDIN, read_prompt, read_prompts
from gptkit.recipes.writing import Writing, WritingOptions, prompt_tokens

_PARTING = "---"


@dataclass(frozen=True)
class SampleRequest:
    """What to write and how to print it."""

    prompt: str | None
    """None: the start of a document; "-": from standard input."""
    prompt_file: str | None
    prompts_file: str | None
    """A prompt a line, each answered by a line of JSON."""
    options: WritingOptions
    num_samples: int
    echo: bool
    """Print the prompt before its continuation."""
    as_json: bool
    log_probs: bool
    """Give the logarithm of each token's probability in the JSON."""
    interactive: bool


def run_sample(
    path: Path | None,
    request: SampleRequest,
    *,
    checkpoint: str | None,
    dtype: DType,
    allow_plugins: bool,
) -> None:
    """Print the samples that were asked for.

    Raises: ConfigError, PromptError, CheckpointError.
    """
    _check(request)
    prompts = None if request.prompts_file is None else read_prompts(request.prompts_file)
    prompt = read_prompt(request.prompt, request.prompt_file)
    loaded = load_run(
        path, checkpoint=checkpoint, dtype=dtype, allow_plugins=allow_plugins, say=say
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    try:
        if prompts is not None:
            _answer(loaded, prompts, request)
        elif request.interactive:
            converse(loaded, prompt, request.options)
        elif request.as_json:
            _answer(loaded, [prompt or ""], request)
        else:
            _print_samples(loaded, prompt, request)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check(request: SampleRequest) -> None:
    """Raises: ConfigError for options that do not go together."""
    if request.prompts_file is not None and (request.prompt or request.prompt_file):
        raise ConfigError("--prompts-file, --prompt and --prompt-file: give one of them")
    as_json = request.as_json or request.prompts_file is not None
    if request.log_probs and not as_json:
        raise ConfigError("--log-probs: they are printed with --json or --prompts-file only")
    if not request.interactive:
        return
    if as_json or request.num_samples > 1:
        raise ConfigError(
            "--interactive: goes without --json, --prompts-file and --num-samples above 1"
        )
    if STDIN in (request.prompt, request.prompt_file):
        raise ConfigError("--interactive: reads standard input; give the prompt another way")


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


def _answer(loaded: Run, prompts: list[str], request: SampleRequest) -> None:
    """Print a line of JSON for each prompt, in order; all are written together."""
    count = request.num_samples
    samples = [
        Sample(tokens, i)
        for tokens in _tokens_of(loaded, prompts, request.prompts_file)
        for i in range(count)
    ]
    writing = Writing(
        loaded.engine, loaded.tokenizer, samples, log_probs=request.log_probs, **request.options
    )
    # None: a bar on a terminal only.
    hidden = None if request.prompts_file is not None else True
    for number, prompt in enumerate(tqdm(prompts, unit=" prompts", disable=hidden, leave=False)):
        texts = [writing.text(number * count + i) for i in range(count)]
        answer = {
            "run": str(loaded.run_dir),
            "step": loaded.step,
            "prompt": prompt,
            "seed": writing.seed,
            "samples": [
                _as_json(sample, text, log_probs=request.log_probs)
                for sample, text in zip(samples[number * count :], texts, strict=False)
            ],
        }
        print(json.dumps(answer, ensure_ascii=False), flush=True)


def _as_json(sample: Sample, text: str, *, log_probs: bool) -> dict[str, Any]:
    given = {"log_probs": [round(value, 6) for value in sample.log_probs]} if log_probs else {}
    return {
        "text": text,
        "tokens": sample.tokens,
        "finish_reason": sample.finish_reason,
        **given,
    }


def _tokens_of(loaded: Run, prompts: list[str], file: str | None) -> list[list[int]]:
    """Return the tokens of each prompt.

    Raises: PromptError naming the line of a file of prompts.
    """
    tokens = []
    for number, prompt in enumerate(prompts, start=1):
        try:
            tokens.append(prompt_tokens(loaded.tokenizer, prompt)[0])
        except PromptError as error:
            place = "" if file is None else f"{file}: prompt {number}: "
            raise PromptError(f"{place}{error}") from None
    return tokens


def _print_piece(piece: str) -> None:
    print(piece, end="", flush=True)
