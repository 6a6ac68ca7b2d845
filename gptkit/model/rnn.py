"""The middle rung: a recurrent network, which carries all it knows of the past in one state.

    tokens -> token_embedding -> n_layer x GRU, one token after another -> lm_head -> logits

A position can know the whole text before it, but only what fits into C numbers; and T tokens take T
steps, where attention takes one.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from gptkit.model.dropout import Dropout
from gptkit.model.init import empty_embedding, fill_normal
from gptkit.model.ladder import RNNConfig
from gptkit.model.rung import Rung, StateCache


class RNN(Rung):
    """Gated recurrent units: gates say how much of the state is kept and how much is new.

    Reference: Learning Phrase Representations using RNN Encoder-Decoder, arXiv:1406.1078, section 2.3.
    """

    def __init__(self, config: RNNConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        width = config.n_embd
        self.token_embedding = empty_embedding(vocab_size, width)
        self.dropout = Dropout(config.dropout)
        self.recurrence = nn.GRU(width, width, num_layers=config.n_layer, batch_first=True)
        self.lm_head = nn.Linear(width, vocab_size, bias=False)

    def hidden(
        self, tokens: Tensor, cache: StateCache | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Return the last layer's state at each position: (B, T) -> (B, T, C)."""
        x = self.dropout(self.token_embedding(tokens))
        state = None if cache is None else cache.state
        if documents is None:
            out, state = self.recurrence(x, state)
        else:
            out = self._by_document(x, documents)
        if cache is not None:
            cache.state = state
            cache.length += tokens.shape[1]
        hidden: Tensor = self.dropout(out)
        return hidden

    def _by_document(self, x: Tensor, documents: Tensor) -> Tensor:
        """Read (B, T, C) with an empty state at each document's start."""
        starts = documents[:, 1:] != documents[:, :-1]
        places = starts.any(dim=0).nonzero().flatten().tolist()
        cuts = [0, *(place + 1 for place in places), x.shape[1]]
        state: Tensor | None = None
        parts = []
        for begin, end in pairwise(cuts):
            if state is not None:
                goes_on = ~starts[:, begin - 1]  # (B,)
                state = state * goes_on[None, :, None]
            part, state = self.recurrence(x[:, begin:end], state)
            parts.append(part)
        return torch.cat(parts, dim=1)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden vectors: (..., C) -> (..., V)."""
        return F.linear(hidden, self.head_weight)

    @property
    def head_weight(self) -> Tensor:
        """The matrix of the last product: (V, C)."""
        return self.lm_head.weight

    def new_cache(self, batch_size: int, max_length: int) -> StateCache:
        """Return an empty state: one token costs the same, however many came before."""
        return StateCache(None)

    @torch.no_grad()
    def init_weights(self, seed: int) -> None:
        """Fill the weights from `seed`, the same on any device; the head so small that the first loss is ln V."""
        generator = Generator().manual_seed(seed)
        width = self.config.n_embd
        fill_normal(self.token_embedding.weight, 1.0, generator)
        fill_normal(self.lm_head.weight, 1 / width, generator)
        for parameter in self.recurrence.parameters():
            if parameter.ndim > 1:
                fill_normal(parameter, 1 / math.sqrt(width), generator)
            else:
                parameter.zero_()

    def flops_per_token(self) -> int:
        """Return 6 for each weight that multiplies: 2 forward, 4 backward."""
        matrices = (*self.recurrence.parameters(), self.lm_head.weight)
        return 6 * sum(matrix.numel() for matrix in matrices if matrix.ndim > 1)
