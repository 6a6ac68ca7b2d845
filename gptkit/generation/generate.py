"""Continue a prompt, token by token: the prompt is read once, then each new token, with a cache.

Knows token ids only. `generate` gives an iterator of columns: each step one token of every sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from gptkit.errors import PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.sampling import choose
from gptkit.model.cache import Cache
from gptkit.model.gpt import GPT

FinishReason = Literal["stop", "length", "context"]
Overflow = Literal["slide", "stop"]


def generate(
    model: GPT,
    prompt: Sequence[int],
    sampling: SamplingConfig,
    *,
    num_samples: int = 1,
    stop_tokens: frozenset[int] = frozenset(),
    on_overflow: Overflow = "slide",
) -> Generation:
    """Continue `prompt` in `num_samples` ways.

    stop_tokens: they end a sample and are no part of it.
    on_overflow: what happens where the context is full. slide: the last half of it is read again
        as if it were all, and so it is with a longer prompt; stop: the samples end.

    Raises: PromptError, where the prompt is longer than the context and on_overflow is stop.
    """
    assert prompt, "an empty prompt gives nothing to continue"
    context_length = model.config.context_length
    if on_overflow == "stop" and len(prompt) > context_length:
        raise PromptError(
            f"the prompt has {len(prompt)} tokens, the model's context holds {context_length}; "
            "shorten it, or let the context slide"
        )
    return Generation(
        model,
        prompt,
        sampling,
        num_samples=num_samples,
        stop_tokens=stop_tokens,
        on_overflow=on_overflow,
    )


class Generation(Iterator[list[int | None]]):
    """The columns of a generation: one token of every sample a step, None where a sample has ended.

    finish_reasons: why each sample ended, None while it goes on. stop: a stop token came; length:
    max_new_tokens were made; context: the context was full.
    """

    def __init__(
        self,
        model: GPT,
        prompt: Sequence[int],
        sampling: SamplingConfig,
        *,
        num_samples: int,
        stop_tokens: frozenset[int],
        on_overflow: Overflow,
    ) -> None:
        self.finish_reasons: list[FinishReason | None] = [None] * num_samples
        self._model = model
        self._sampling = sampling
        self._stop_tokens = stop_tokens
        self._on_overflow = on_overflow
        self._context_length = model.config.context_length
        self._rows = torch.tensor([list(prompt)] * num_samples)  # (B, tokens so far)
        self._seen = torch.zeros(num_samples, model.vocab_size, dtype=torch.bool)
        self._seen.scatter_(1, self._rows, True)
        self._cache: Cache | None = None
        self._steps = 0
        self._generators = [
            Generator().manual_seed(sample_seed(sampling.seed, i)) for i in range(num_samples)
        ]

    def __next__(self) -> list[int | None]:
        self._end_all_if_due()
        if all(self.finish_reasons):
            raise StopIteration
        tokens = choose(self._next_logits(), self._seen, self._sampling, self._generators)
        self._rows = torch.cat((self._rows, tokens.unsqueeze(1)), dim=1)
        self._rows = self._rows[:, -self._context_length :]
        self._seen.scatter_(1, tokens.unsqueeze(1), True)
        self._steps += 1
        column = [self._unless_ended(row, token) for row, token in enumerate(tokens.tolist())]
        if all(self.finish_reasons):
            raise StopIteration
        return column

    def _end_all_if_due(self) -> None:
        reason: FinishReason | None = None
        if self._steps == self._sampling.max_new_tokens:
            reason = "length"
        elif self._is_full and self._on_overflow == "stop":
            reason = "context"
        self.finish_reasons = [earlier or reason for earlier in self.finish_reasons]

    def _unless_ended(self, row: int, token: int) -> int | None:
        if self.finish_reasons[row] is None and token in self._stop_tokens:
            self.finish_reasons[row] = "stop"
        return token if self.finish_reasons[row] is None else None

    @property
    def _is_full(self) -> bool:
        return self._cache is not None and self._cache.length == self._context_length

    def _next_logits(self) -> Tensor:
        """Read what is unread and return the logits of each row's next token, (B, V)."""
        num_samples = len(self._rows)
        last_half = self._rows[:, -max(1, self._context_length // 2) :]
        if self._cache is None:
            # All samples share the prompt: it is read in one row, and the cache is copied.
            too_long = self._rows.shape[1] > self._context_length
            cache = self._model.new_cache(1, self._context_length)
            logits = read(self._model, last_half[:1] if too_long else self._rows[:1], cache)
            self._cache = cache.repeat(num_samples)
            return logits.expand(num_samples, -1)
        if self._is_full:
            self._cache = self._model.new_cache(num_samples, self._context_length)
            return read(self._model, last_half, self._cache)
        return read(self._model, self._rows[:, -1:], self._cache)


@torch.inference_mode()
def read(model: GPT, tokens: Tensor, cache: Cache) -> Tensor:
    """Read tokens (B, T) into the cache, without dropout, and return the last logits, (B, V)."""
    if model.training:
        model.eval()
        try:
            return read(model, tokens, cache)
        finally:
            model.train()
    hidden = model.hidden(tokens.to(model.token_embedding.weight.device), cache)
    return model.unembed(hidden[:, -1])


def sample_seed(seed: int, index: int) -> int:
    """Return the seed of sample `index`, whatever the number of samples."""
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little")
