"""Continue prompts, token by token, many at once: each prompt is read once, then a token of each row a step.

    samples -> rows of a decoder -> logits -> one token each -> the caller, who may end a sample
                    ^                                             |
                    └── rows leave when they end, others come in ─┘

Knows token ids only. On a CPU a sample depends on the model, its prompt, the settings, the seed and its
index, and on nothing else: not on the other samples, nor on when it had its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from gptkit.errors import ConfigError, PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.decoder import Decoder, build_decoder
from gptkit.generation.int8 import Int8Weights
from gptkit.generation.sampling import choose, log_probs_of, uniform_numbers
from gptkit.model.gpt import GPT

FinishReason = Literal["stop", "eos", "length", "context"]
Overflow = Literal["slide", "stop"]


@dataclass(eq=False)
class Sample:
    """A prompt and what it is continued with; grows while an engine runs."""

    prompt: Sequence[int]
    index: int = 0
    """Its random numbers are a function of the seed and this."""
    tokens: list[int] = field(default_factory=list)
    """The tokens so far."""
    log_probs: list[float] = field(default_factory=list)
    """Where they are asked for: the natural logarithm of the probability that the model gave each of
    the tokens, before any filter."""
    finish_reason: FinishReason | None = None
    """None while it grows. eos: an end token came, which is left out; length: max_new_tokens;
    context: the context was full; stop: whoever reads it has seen enough."""


class _Ends(NamedTuple):
    """What ends a sample."""

    max_new_tokens: int
    stop_tokens: frozenset[int]
    on_overflow: Overflow


class Engine:
    """A model made ready to write; kept, since making ready takes as long as some tokens."""

    def __init__(self, model: GPT, int8: Int8Weights | None = None) -> None:
        self._model = model
        self._context_length = model.config.context_length
        self._idle: list[Decoder] = [build_decoder(model, int8)]
        self._new_decoder = self._idle[0].twin
        self._kept: tuple[Decoder, list[int]] | None = None

    def run(
        self,
        samples: Sequence[Sample],
        sampling: SamplingConfig,
        *,
        stop_tokens: frozenset[int] = frozenset(),
        on_overflow: Overflow = "slide",
        log_probs: bool = False,
        keep: bool = False,
    ) -> Iterator[list[Sample]]:
        """Let the samples grow; yield those that grew or ended, a token further each time.

        A sample that the caller gives a finish_reason grows no further. Those that find no room wait.
        on_overflow: what happens where the context is full. slide: the last half of it is read again
            as if it were all, and so it is with a longer prompt; stop: the sample ends.
        keep: the one sample goes on from what the last one left behind, as far as its prompt does.

        Raises: PromptError, where a prompt is longer than the context and on_overflow is stop;
        ConfigError, where logit_bias names a token that there is not.
        """
        if (most := max(sampling.logit_bias, default=0)) >= self._model.vocab_size:
            raise ConfigError(
                f"logit_bias: there is no token {most}; the last is {self._model.vocab_size - 1}"
            )
        for sample in samples:
            assert sample.prompt, "an empty prompt gives nothing to continue"
            if on_overflow == "stop" and len(sample.prompt) > self._context_length:
                raise PromptError(
                    f"the prompt has {len(sample.prompt)} tokens, the model's context holds"
                    f" {self._context_length}; shorten it, or let the context slide"
                )
        ends = _Ends(sampling.max_new_tokens, stop_tokens, on_overflow)
        run = self._run_on if keep else self._run
        return run(samples, sampling, ends, log_probs)

    def _run(
        self,
        samples: Sequence[Sample],
        sampling: SamplingConfig,
        ends: _Ends,
        log_probs: bool,
    ) -> Iterator[list[Sample]]:
        # Two runs may take turns: each has its own rows.
        decoder = self._idle.pop() if self._idle else self._new_decoder()
        try:
            room = decoder.start(len(samples))
            rows = _Rows(self._model, decoder, sampling, room=room, log_probs=log_probs)
            yield from rows.grow(samples, ends)
        finally:
            self._idle.append(decoder)

    def _run_on(
        self,
        samples: Sequence[Sample],
        sampling: SamplingConfig,
        ends: _Ends,
        log_probs: bool,
    ) -> Iterator[list[Sample]]:
        decoder, read = self._kept or (self._new_decoder(), [])
        self._kept = None  # if this is interrupted, nobody knows what was read
        if not read:
            decoder.start(1)
            decoder.add([])
        rows = _Rows(self._model, decoder, sampling, room=1, log_probs=log_probs)
        yield from rows.grow(samples, ends, read)
        self._kept = (decoder, rows.last_read)


class _Rows:
    """The rows of one run: samples that grow together."""

    def __init__(
        self,
        model: GPT,
        decoder: Decoder,
        sampling: SamplingConfig,
        *,
        room: int,
        log_probs: bool,
    ) -> None:
        self.last_read: list[int] = []
        """What the row that left last had read."""
        self._model = model
        self._decoder = decoder
        self._sampling = sampling
        self._room = room
        self._log_probs = log_probs
        self._rows: list[_Row] = []
        self._context_length = model.config.context_length

    def grow(
        self,
        samples: Sequence[Sample],
        ends: _Ends,
        read: Sequence[int] | None = None,
    ) -> Iterator[list[Sample]]:
        """As `Engine.run`. read: what the decoder's only row holds; the only sample takes it over."""
        waiting = list(reversed(samples))
        rows = self._rows
        while True:
            with _evaluating(self._model):
                self._remove_ended(keep=read is not None)
                while waiting and len(rows) < self._room:
                    sample = waiting.pop()
                    if sample.finish_reason is None:
                        self._admit(_Row(sample, self._sampling, self._model.vocab_size), read)
                if not rows:
                    return
                # Reading a prompt gives the logits of the first token: it needs no step.
                growing = [row for row in rows if row.is_new and row.first_logits is not None]
                if growing:
                    logits = torch.cat([cast(Tensor, row.first_logits) for row in growing])
                else:
                    growing = list(rows)
                    self._slide()
                    logits = self._decoder.step([row.window[-1] for row in rows])
                tokens = self._choose(growing, logits)
            for row, token in zip(growing, tokens.tolist(), strict=True):
                row.take(token, ends, self._context_length)
            yield [row.sample for row in growing]

    def _choose(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """Return the next token of each row; where they are asked for, keep the probabilities."""
        seen = None
        if self._sampling.repetition_penalty != 1.0:
            seen = torch.stack([row.seen() for row in rows]).to(logits.device)
        uniform = None
        if self._sampling.temperature > 0:
            uniform = torch.tensor([next(row.uniform) for row in rows])
        tokens = choose(logits, self._sampling, uniform, seen)
        if self._log_probs:
            for row, log_prob in zip(rows, log_probs_of(tokens, logits), strict=True):
                row.sample.log_probs.append(float(log_prob))
        return tokens

    def _remove_ended(self, *, keep: bool) -> None:
        rows = self._rows
        for i in reversed(range(len(rows))):
            if rows[i].sample.finish_reason is not None:
                self.last_read = rows[i].window[:-1]
                if not keep:
                    self._decoder.drop(i)
                rows[i] = rows[-1]
                rows.pop()

    def _admit(self, row: _Row, read: Sequence[int] | None) -> None:
        prompt = row.sample.prompt
        too_long = len(prompt) > self._context_length
        row.window = list(self._last_half(prompt) if too_long else prompt)
        if read is None:
            row.was_read = list(row.window)
            same = (i for i, other in enumerate(self._rows) if other.was_read == row.was_read)
            as_row = next(same, None)
            logits = self._decoder.add(row.was_read, as_row=as_row)
            row.first_logits = logits if as_row is None else self._rows[as_row].first_logits
        elif row.window[:-1][: len(read)] == list(read):
            self._decoder.extend(0, row.window[len(read) : -1])
        else:
            self._decoder.clear(0)
            self._decoder.extend(0, row.window[:-1])
        self._rows.append(row)

    def _slide(self) -> None:
        for i, row in enumerate(self._rows):
            if len(row.window) > self._context_length:
                row.window = list(self._last_half(row.window))
                row.was_read = None
                self._decoder.clear(i)
                self._decoder.extend(i, row.window[:-1])

    def _last_half(self, tokens: Sequence[int]) -> Sequence[int]:
        return tokens[-max(1, self._context_length // 2) :]


class _Row:
    """A sample while it grows: what of it is in the context, and where its random numbers come from."""

    def __init__(self, sample: Sample, sampling: SamplingConfig, vocab_size: int) -> None:
        self.sample = sample
        self.window: list[int] = []
        """The tokens in the context; the decoder has read all but the last, of a new row all."""
        self.was_read: list[int] | None = None
        """What the decoder read when this row came in, as long as that is still its beginning."""
        self.first_logits: Tensor | None = None
        """(1, V), what that said about the next token; None where only a step says it."""
        self.is_new = True
        self.uniform = uniform_numbers(sampling.seed, sample.index)
        self._seen: Tensor | None = None
        self._vocab_size = vocab_size

    def take(self, token: int, ends: _Ends, context_length: int) -> None:
        """Grow by a token, and end where that is the last."""
        self.is_new = False
        self.window.append(token)
        sample = self.sample
        sample.tokens.append(token)
        if sample.tokens[-1] in ends.stop_tokens:
            sample.finish_reason = "eos"
            sample.tokens.pop()
            del sample.log_probs[-1:]
        elif len(sample.tokens) == ends.max_new_tokens:
            sample.finish_reason = "length"
        elif ends.on_overflow == "stop" and len(self.window) > context_length:
            sample.finish_reason = "context"

    def seen(self) -> Tensor:
        """Return (V,) bool: the tokens of the prompt and of the text."""
        if self._seen is None:
            self._seen = torch.zeros(self._vocab_size, dtype=torch.bool)
            self._seen[torch.tensor(list(self.sample.prompt))] = True
        if self.sample.tokens:
            self._seen[self.sample.tokens[-1]] = True
        return self._seen


@contextmanager
def _evaluating(model: GPT) -> Iterator[None]:
    """Switch dropout off inside, and autocast: decoding has one precision, the weights'."""
    was_training = model.training
    if was_training:
        model.eval()
    kind = model.token_embedding.weight.device.type
    # Switching it off takes as long as a small operation: where it is off, it is left so.
    off = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
    try:
        with off:
            yield
    finally:
        if was_training:
            model.train()
