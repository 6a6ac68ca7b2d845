"""The lowest rung: the next token depends on the last one alone.

    tokens -> row of a table -> logits

It is what counting pairs gives, learned by gradients; a model that is worse makes no use of its context.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from gptkit.model.init import empty_embedding, fill_normal
from gptkit.model.ladder import BigramConfig
from gptkit.model.rung import Rung, StateCache

_FIRST_STD = 0.01


class Bigram(Rung):
    """A table of logits, (V, V): row i says what may follow token i."""

    def __init__(self, config: BigramConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.token_embedding = empty_embedding(vocab_size, vocab_size)

    def hidden(
        self, tokens: Tensor, cache: StateCache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the logits themselves: (B, T) -> (B, T, V)."""
        if cache is not None:
            cache.length += tokens.shape[1]
        logits: Tensor = self.token_embedding(tokens)
        return logits

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return `hidden`: a row of the table is what the head would make."""
        return hidden

    @property
    def head_weight(self) -> None:
        """There is no head."""

    def new_cache(self, batch_size: int, max_length: int) -> StateCache:
        """Return an empty cache: nothing needs to be remembered but how much was read."""
        return StateCache(None)

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Fill the table from `seed`, so near 0 that every token is about as likely."""
        fill_normal(self.token_embedding.weight, _FIRST_STD, Generator().manual_seed(seed))

    def flops_per_token(self) -> int:
        """Return 0: nothing is multiplied."""
        return 0
