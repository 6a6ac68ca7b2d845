"""From a prompt to the text that a model continues it with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypedDict, Unpack

from pydantic import ValidationError

from gptkit.errors import ConfigError, PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.generate import generate
from gptkit.generation.text import stream_text
from gptkit.model import GPT
from gptkit.runtime.interrupt import Interrupt
from gptkit.tokenizers.base import Tokenizer
from gptkit.training.config import TrainingConfig

FinishReason = Literal["stop", "eos", "length", "context"]


class WritingOptions(TypedDict, total=False):
    """How a prompt is continued: the keys of `SamplingConfig`, and what ends a sample."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    seed: int
    stop: Sequence[str]
    """The sample ends before any of these texts."""
    ignore_eos: bool
    """Go on after end-of-text."""
    on_overflow: Literal["slide", "stop"]
    """Past the context: read its last half again, or end."""


class Writing:
    """The samples of one prompt, which the model writes together: each is read as a stream of text.

    Sample i depends on the seed and i alone, not on how many there are.
    """

    def __init__(
        self,
        model: GPT,
        tokenizer: Tokenizer,
        prompt: Sequence[int],
        sampling: SamplingConfig,
        *,
        num_samples: int = 1,
        stops: Sequence[str] = (),
        ignore_eos: bool = False,
        on_overflow: Literal["slide", "stop"] = "slide",
    ) -> None:
        end = tokenizer.end_of_text
        self._tokenizer = tokenizer
        self._stops = stops
        self._columns = generate(
            model,
            prompt,
            sampling,
            num_samples=num_samples,
            stop_tokens=frozenset(() if end is None or ignore_eos else (end,)),
            on_overflow=on_overflow,
        )
        self.tokens: list[list[int]] = [[] for _ in range(num_samples)]
        """The tokens of each sample so far."""
        self._num_read = [0] * num_samples
        self.stopped = [False] * num_samples
        """Whether a stop string ended the sample."""

    def pieces(self, sample: int) -> Iterator[str]:
        """Yield the text of a sample as it is written; the others grow in step with it."""
        self.stopped[sample] = yield from stream_text(
            self._tokenizer, self._tokens_of(sample), self._stops
        )
        del self.tokens[sample][self._num_read[sample] :]

    def finish_reason(self, sample: int) -> FinishReason:
        """Return why a sample ended, once its text has been read."""
        if self.stopped[sample]:
            return "stop"
        reason = self._columns.finish_reasons[sample]
        return "eos" if reason == "stop" else reason or "length"

    def _tokens_of(self, sample: int) -> Iterator[int]:
        while True:
            while self._num_read[sample] < len(self.tokens[sample]):
                self._num_read[sample] += 1
                yield self.tokens[sample][self._num_read[sample] - 1]
            if self._columns.finish_reasons[sample] is not None or not self._grow():
                return

    def _grow(self) -> bool:
        """Let every sample that goes on grow by a token; return whether one did."""
        column = next(self._columns, None)
        for tokens, token in zip(self.tokens, column or (), strict=False):
            if token is not None:
                tokens.append(token)
        return column is not None


def start_writing(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    *,
    num_samples: int = 1,
    **options: Unpack[WritingOptions],
) -> Writing:
    """Return the samples of a prompt.

    Raises: ConfigError for an option that is out of range.
    """
    settings: dict[str, Any] = dict(options)
    stops = tuple(settings.pop("stop", ()))
    ignore_eos = settings.pop("ignore_eos", False)
    on_overflow = settings.pop("on_overflow", "slide")
    if on_overflow not in ("slide", "stop"):
        raise ConfigError(f"on_overflow: must be slide or stop, not '{on_overflow}'")
    try:
        sampling = SamplingConfig(**settings)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError("; ".join(problems)) from None
    return Writing(
        model,
        tokenizer,
        prompt,
        sampling,
        num_samples=num_samples,
        stops=stops,
        ignore_eos=ignore_eos,
        on_overflow=on_overflow,
    )


def prompt_tokens(tokenizer: Tokenizer, prompt: str | None) -> tuple[list[int], str]:
    """Return the tokens to continue, and their text.

    No prompt means the start of a document: end-of-text, or a newline where the tokenizer has no such token.

    Raises: PromptError naming the characters that the tokenizer does not know.
    """
    if prompt:
        tokens = tokenizer.encode(prompt)
        if not tokens:
            raise PromptError("the tokenizer makes no tokens of the prompt")
        return tokens, prompt
    if tokenizer.end_of_text is not None:
        return [tokenizer.end_of_text], ""
    try:
        return tokenizer.encode("\n"), "\n"
    except PromptError:
        return [0], tokenizer.decode([0])  # a text of one line


def check_prompt(prompt: str | None, tokenizer: Tokenizer) -> None:
    """Make sure that the samples of a training run can be drawn.

    Raises: ConfigError.
    """
    try:
        prompt_tokens(tokenizer, prompt)
    except PromptError as error:
        raise ConfigError(f"training.sample_prompt: {error}") from error


def training_sample(
    model: GPT, tokenizer: Tokenizer, config: TrainingConfig, interrupt: Interrupt
) -> str:
    """Return what the model writes after the config's sample prompt; cut short when a signal comes."""
    tokens, text = prompt_tokens(tokenizer, config.sample_prompt)
    sampling = SamplingConfig(max_new_tokens=config.sample_tokens, seed=config.seed)
    for piece in Writing(model, tokenizer, tokens, sampling).pieces(0):
        text += piece
        if interrupt:
            break
    return text


def excerpt(text: str, *, lines: int = 3, columns: int = 80) -> str:
    """Return the beginning of a sample, indented, for a glance between two lines of metrics."""
    shown = [line[:columns] for line in text.splitlines() if line.strip()][:lines]
    return "\n".join(f"    | {line}" for line in shown)
