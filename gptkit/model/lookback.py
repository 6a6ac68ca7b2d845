"""What a position knows of the last few tokens before any attention: W = embedding_window of them.

    e[t] = token_embedding[t] + table[t-1 t] + table[t-2 t-1 t] + ...       n-grams up to W tokens
    x[t] = e[t] + weight[0] * e[t-1] + weight[1] * e[t-2] + ...             channel by channel

Most of what a small model learns first is how common short sequences go on. A table holds that
without any matrix product; each n-gram finds its row by a hash, and some share one. The convolution
saves the first block from learning to look at the token before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gptkit.model.config import ModelConfig

_PRIME = 2**31 - 1  # products of two smaller numbers fit into int64
_MULTIPLIERS = (1_540_483_477, 1_103_515_245)


class LookBack(nn.Module):
    """Adds to each token's embedding what its n-grams say, then a share of the embeddings before.

    Both start at 0: at first nothing is added.

    Reference: hashed n-grams, Byte Latent Transformer, arXiv:2412.09871, section 3.2.1; depthwise
    convolutions, Primer, arXiv:2109.08668, section 3.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.window = config.embedding_window
        self.convolution = nn.Parameter(torch.zeros(self.window - 1, config.n_embd))
        self.ngrams: nn.Parameter | None = None
        if config.ngram_rows is not None:
            self.ngrams = nn.Parameter(torch.zeros(config.ngram_rows, config.n_embd))

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, embedded: Tensor, tokens: Tensor, positions: Tensor) -> Tensor:
        """embedded: (B, T, C), tokens: (B, T) -> (B, T, C).

        positions: (T,), or (B, T) in documents that do not see each other.
        """
        if self.ngrams is not None:
            rows = ngram_rows(tokens, positions, window=self.window, num_rows=len(self.ngrams))
            embedded = embedded + F.embedding(rows, self.ngrams).sum(dim=2)
        weight = self.convolution.to(embedded.dtype)
        in_documents = positions if positions.ndim == 2 else None
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            mixed: Tensor = _Convolution.apply(embedded, weight, in_documents)  # type: ignore[no-untyped-call]
            return mixed
        return _convolve(embedded, weight, in_documents)

    def extra_repr(self) -> str:
        return f"window={self.window}"


def tokens_read(config: ModelConfig) -> int:
    """Return on how many tokens before it a position's embedding depends."""
    return (config.embedding_window - 1) * (1 if config.ngram_rows is None else 2)


def ngram_rows(tokens: Tensor, positions: Tensor, *, window: int, num_rows: int) -> Tensor:
    """Return the rows of the last 2, 3 ... `window` tokens: (B, T) -> (B, T, window - 1).

    positions: (T,) or (B, T). Before a document's first token there is nothing, which is hashed
    like one more token.
    """
    num_tokens = tokens.shape[1]
    one, other = _MULTIPLIERS
    key, keys = tokens, []
    for offset in range(1, window):
        earlier = F.pad(tokens, (offset, 0))[:, :num_tokens]
        earlier = torch.where(positions >= offset, earlier + 1, 0)
        # Neighbouring ids must not get neighbouring rows: those of other n-grams lie there.
        key = (key * one + earlier) % _PRIME * other % _PRIME
        keys.append(key)
    return torch.stack(keys, dim=-1) % num_rows


def _convolve(x: Tensor, weight: Tensor, positions: Tensor | None) -> Tensor:
    y = x.clone()
    for offset, scale in enumerate(weight, start=1):
        y[:, offset:].addcmul_(_in_document(x[:, :-offset], positions, offset), scale)
    return y


def _in_document(pairs: Tensor, positions: Tensor | None, offset: int) -> Tensor:
    """Return (B, T - offset, C) with 0 where the two of a pair, `offset` apart, are of two documents."""
    if positions is None:
        return pairs
    return pairs * (positions[:, offset:] >= offset).unsqueeze(-1)


class _Convolution(torch.autograd.Function):
    """The gradient runs through the same shifts backwards: a third of autograd's time on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, positions: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, positions)
        return _convolve(x, weight, positions)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, positions = ctx.saved_tensors
        x_gradient, weight_gradient = gradient.clone(), torch.empty_like(weight)
        for offset, scale in enumerate(weight, start=1):
            later = _in_document(gradient[:, offset:], positions, offset)
            x_gradient[:, :-offset].addcmul_(later, scale)
            weight_gradient[offset - 1] = (later * x[:, :-offset]).sum((0, 1))
        return x_gradient, weight_gradient, None
