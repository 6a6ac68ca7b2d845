"""The objective: from tokens to the loss, in one module, so that it is compiled and replicated whole."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from gptkit.training.loss import chunk_logits, chunked_loss, token_losses, whole_logits
from gptkit.training.objective_config import NextTokenConfig


class LanguageModel(Protocol):
    """What the objective asks of a model."""

    @property
    def head_weight(self) -> Tensor | None:
        """The matrix of the last product, (V, C); None: hidden vectors are logits already."""

    @property
    def logit_softcap(self) -> float | None:
        """What bounds the logits; None: nothing does."""

    def soft_capped(self, logits: Tensor) -> Tensor:
        """Return them bounded: (B, T, V) -> (B, T, V)."""

    def hidden(self, tokens: Tensor, *, documents: Tensor | None) -> Tensor:
        """Return what the head reads: (B, T) -> (B, T, C)."""

    def unembed(self, hidden: Tensor) -> Tensor:
        """Return the logits: (B, T, C) -> (B, T, V)."""


class NextTokenObjective(nn.Module):
    """The cross-entropy of each next token under `model`.

    A large vocabulary's logits are taken in chunks. What fits into one chunk takes the plain way,
    and so does what is compiled: Inductor fuses the loss and writes no float32 logits.
    """

    def __init__(self, model: nn.Module) -> None:
        """model: a LanguageModel; its parameters are those of the objective."""
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, targets: Tensor, documents: Tensor | None = None) -> Tensor:
        """Return the summed loss of the targets in nats, 0-dim float32.

        tokens, targets, documents: (B, T) int64, as in `Batch`.
        """
        model = cast(LanguageModel, self.model)
        hidden = model.hidden(tokens, documents=documents)
        head = model.head_weight
        if head is None:
            return token_losses(model.unembed(hidden), targets).sum()
        if takes_whole_logits(model, hidden):
            return token_losses(model.soft_capped(whole_logits(hidden, head)), targets).sum()
        return chunked_loss(
            hidden.flatten(0, 1),
            head,
            targets.flatten(),
            softcap=model.logit_softcap,
        )


def build_next_token(section: NextTokenConfig, model: nn.Module) -> NextTokenObjective:
    """Return the objective that a config describes."""
    return NextTokenObjective(model)


def takes_whole_logits(model: LanguageModel, hidden: Tensor) -> bool:
    """Whether all logits of these hidden vectors, (B, T, C), may be in memory at once."""
    head = model.head_weight
    return (
        head is None
        or torch.compiler.is_compiling()
        or not torch.is_grad_enabled()
        or hidden.shape[:-1].numel() * head.shape[0] <= chunk_logits(hidden.device)
    )
