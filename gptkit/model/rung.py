"""What the lower rungs of the ladder share: the face of `GPT`, and a cache of fixed size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from gptkit.section import Section


class StateCache:
    """What a model has read, as a state that does not grow: (n_layer, B, C), None before the first token."""

    def __init__(self, state: Tensor | None) -> None:
        self.state = state
        self.length = 0
        """Tokens read so far."""

    def repeat(self, num_samples: int) -> StateCache:
        """Return a cache of `num_samples` rows, each a copy of this one's only row."""
        copy = StateCache(None if self.state is None else self.state.repeat(1, num_samples, 1))
        copy.length = self.length
        return copy


class Rung(nn.Module, ABC):
    """A language model that the loop, the sampler and the measures take for a GPT.

    Its weights mean nothing before `init_weights` or `load_state_dict`.
    """

    token_embedding: nn.Embedding
    logit_softcap = None
    """Nothing bounds the logits."""

    def __init__(self, config: Section, vocab_size: int) -> None:
        super().__init__()
        self.config: Any = config
        self.vocab_size = vocab_size

    def forward(
        self, tokens: Tensor, cache: StateCache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the logits of the token that follows each position: (B, T) -> (B, T, V).

        cache, documents: as `GPT.forward` has them.
        """
        return self.unembed(self.hidden(tokens, cache, documents))

    @abstractmethod
    def hidden(
        self, tokens: Tensor, cache: StateCache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return what the head reads: (B, T) -> (B, T, C)."""

    @abstractmethod
    def unembed(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden vectors: (..., C) -> (..., V)."""

    def soft_capped(self, logits: Tensor) -> Tensor:
        """Return them as they are."""
        return logits

    @abstractmethod
    def new_cache(self, batch_size: int, max_length: int) -> StateCache:
        """Return an empty cache."""

    @abstractmethod
    def init_weights(self, seed: int) -> None:
        """Fill the weights from `seed`, the same on any device."""

    @abstractmethod
    def flops_per_token(self) -> int:
        """Return the floating-point operations of training on one token."""

    def num_parameters(self) -> int:
        """Return the number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())
