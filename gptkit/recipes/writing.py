"""From a prompt to the text that a model continues it with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, Unpack

from pydantic import ValidationError

from gptkit.chat.conversation import Message
from gptkit.chat.encoding import ChatEncoder
from gptkit.errors import ConfigError, PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.engine import Engine, Sample
from gptkit.generation.text import TextStream
from gptkit.model import GPT
from gptkit.runtime.interrupt import Interrupt
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.training.config import TrainingConfig

_QUESTION = "Hello"
"""What a model that learns to chat is asked in samples, where the config has no other question."""


class WritingOptions(TypedDict, total=False):
    """How a prompt is continued: the keys of `SamplingConfig`, and what ends a sample."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    logit_bias: Mapping[int, float]
    seed: int
    stop: Sequence[str]
    """The sample ends before any of these texts."""
    ignore_eos: bool
    """Go on after end-of-text."""
    on_overflow: Literal["slide", "stop"]
    """Past the context: read its last half again, or end."""


class Writing:
    """Samples that an engine writes together, each read as a stream of text.

    Sample i depends on its prompt, its index and the seed alone, not on how many there are.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        samples: Sequence[Sample],
        *,
        log_probs: bool = False,
        keep: bool = False,
        stop_tokens: Iterable[int] = (),
        **options: Unpack[WritingOptions],
    ) -> None:
        """log_probs, keep: see `Engine.run`; stop_tokens: end a sample, beside end-of-text.

        Raises: ConfigError for an option that is out of range; PromptError for a prompt that is too long.
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
        self.seed = sampling.seed
        end = None if ignore_eos else tokenizer.end_of_text
        self._texts = {
            id(sample): _Text(sample, TextStream(tokenizer, stops)) for sample in samples
        }
        self.samples = samples
        self._steps = engine.run(
            samples,
            sampling,
            stop_tokens=frozenset([*stop_tokens, *(() if end is None else (end,))]),
            on_overflow=on_overflow,
            log_probs=log_probs,
            keep=keep,
        )

    def pieces(self, i: int) -> Iterator[str]:
        """Yield the text of sample i as it is written; the others grow in step with it."""
        text = self._texts[id(self.samples[i])]
        while True:
            while text.pieces:
                yield text.pieces.popleft()
            if text.sample.finish_reason is not None or not self._grow():
                return

    def text(self, i: int) -> str:
        """Return the whole text of sample i."""
        return "".join(self.pieces(i))

    def end(self) -> None:
        """Let no sample grow any further."""
        for sample in self.samples:
            sample.finish_reason = sample.finish_reason or "stop"
        self._grow()

    def _grow(self) -> bool:
        """Let every sample that goes on grow by a token; return whether one did."""
        grown = next(self._steps, None)
        for sample in grown or ():
            self._texts[id(sample)].read()
        return grown is not None


@dataclass
class _Text:
    """A sample and its text as far as it is certain."""

    sample: Sample
    stream: TextStream
    pieces: deque[str] = field(default_factory=deque)
    _num_read: int = 0

    def read(self) -> None:
        """Read the sample's new tokens; end it where a stop string came."""
        for token in self.sample.tokens[self._num_read :]:
            self._add(self.stream.push(token))
        self._num_read = len(self.sample.tokens)
        if self.sample.finish_reason is not None:
            self._add(self.stream.finish())
        if self.stream.stopped:
            self.sample.finish_reason = "stop"

    def _add(self, piece: str) -> None:
        if piece:
            self.pieces.append(piece)


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
    """Return what the model writes after the config's sample prompt; cut short when a signal comes.

    A model that learns to chat is asked the prompt.
    """
    stop_tokens: Iterable[int] = ()
    if isinstance(tokenizer, BPETokenizer) and tokenizer.chat is not None:
        encoder = ChatEncoder(tokenizer)
        question = Message(role="user", content=config.sample_prompt or _QUESTION)
        tokens, stop_tokens = encoder.prompt([question]), encoder.stop_tokens
        text = tokenizer.decode(tokens)
    else:
        tokens, text = prompt_tokens(tokenizer, config.sample_prompt)
    writing = Writing(
        Engine(model),
        tokenizer,
        [Sample(tokens)],
        stop_tokens=stop_tokens,
        max_new_tokens=config.sample_tokens,
        seed=config.seed,
    )
    for piece in writing.pieces(0):
        text += piece
        if interrupt:
            break
    return text


def excerpt(text: str, *, lines: int = 3, columns: int = 80) -> str:
    """Return the beginning of a sample, indented, for a glance between two lines of metrics."""
    shown = [line[:columns] for line in text.splitlines() if line.strip()][:lines]
    return "\n".join(f"    | {line}" for line in shown)
