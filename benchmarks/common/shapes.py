"""Sizes of models and batches, and what a training step of them costs on paper."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Shape:
    """A GPT and its batch."""

    n_layer: int
    n_head: int
    n_embd: int
    context_length: int
    batch_size: int
    """Sequences of a step."""
    vocab_size: int
    dropout: float = 0.0

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.batch_size * self.context_length

    @property
    def matrix_weights(self) -> int:
        """Weights that each token is multiplied with; the embedding counts once, as the head."""
        return 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd

    @property
    def of_transformers(self) -> dict[str, Any]:
        """The same sizes by the names of transformers' GPT2Config."""
        return {
            "n_layer": self.n_layer,
            "n_head": self.n_head,
            "n_embd": self.n_embd,
            "n_positions": self.context_length,
            "vocab_size": self.vocab_size,
        }

    def step_flops(self, *, causal: bool) -> int:
        """Return the floating-point operations of a step, forward and backward.

        6 for each weight of a matrix product and token;
        attention on top: 12 for each layer, channel, query and key that it meets. causal: whether
        only keys up to the query's own position count, which is what has to be computed; without
        it the figure compares with nanoGPT's.

        Reference: PaLM, arXiv:2204.02311, appendix B.
        """
        keys = (self.context_length + 1) / 2 if causal else self.context_length
        return round(
            self.tokens * (6 * self.matrix_weights + 12 * self.n_layer * self.n_embd * keys)
        )

    def with_batch(self, batch_size: int, context_length: int) -> Shape:
        """Return the same model with another batch."""
        return replace(self, batch_size=batch_size, context_length=context_length)

    def __str__(self) -> str:
        dropout = f", dropout {self.dropout}" if self.dropout else ""
        return (
            f"{self.n_layer} layers, {self.n_head} heads, {self.n_embd} channels, vocabulary"
            f" {self.vocab_size:,}, {self.batch_size} x {self.context_length} tokens{dropout}"
        )


SHAPES = {
    "0.8M": Shape(4, 4, 128, 64, 12, 65),
    "10.65M": Shape(6, 6, 384, 256, 16, 65, dropout=0.2),
    "124M": Shape(12, 12, 768, 512, 4, 50_257),
    "tiny": Shape(1, 2, 16, 8, 2, 65),
}
"""nanoGPT's recipes for a CPU and, with fewer sequences, for a GPU; GPT-2; one for trials."""

STEPS = {"0.8M": 200, "10.65M": 8, "124M": 3, "tiny": 2}
"""Steps that count in a round: some seconds of each."""


def parse_batch(text: str) -> tuple[int, int]:
    """Return sequences and context of `BxT`."""
    batch_size, context_length = map(int, text.split("x"))
    return batch_size, context_length
