"""The models to choose from: three rungs, from a table of pairs to the transformer.

    bigram    looks at one token
    rnn       carries a state of fixed size along
    gpt       looks back at every token

All are trained, sampled and measured by the same code.
"""

from __future__ import annotations

from typing import Literal

from gptkit.model.config import ModelConfig
from gptkit.section import Choices, PathText, PositiveInt, Probability, Section


class _LowerRung(Section):
    @property
    def depth(self) -> None:
        """The dial turns gpt only."""


class BigramConfig(_LowerRung):
    """A table: for each token the logits of the next one. V x V numbers and nothing else."""

    name: Literal["bigram"] = "bigram"
    context_length: PositiveInt = 256
    """Tokens of a training sequence."""
    init_from: PathText | None = None
    """A run or checkpoint folder whose weights the model starts from."""

    @property
    def n_layer(self) -> int:
        """Nothing lies between the table's row and the logits."""
        return 0

    @property
    def n_embd(self) -> int:
        """Nothing multiplies."""
        return 1

    @property
    def dropout(self) -> float:
        """A table has no channels to drop."""
        return 0.0


class RNNConfig(_LowerRung):
    """A recurrent network of gated units (GRU): it reads one token after another into a state."""

    name: Literal["rnn"] = "rnn"
    n_layer: PositiveInt = 1
    """Networks on top of each other."""
    n_embd: PositiveInt = 256
    """Channels of the embedding and of each layer's state."""
    context_length: PositiveInt = 256
    """Tokens of a training sequence; the state is empty at its start."""
    dropout: Probability = 0.0
    """Chance that a channel is zeroed in training, behind the embedding and each layer."""
    init_from: PathText | None = None
    """A run or checkpoint folder whose weights the model starts from."""


MODELS = Choices(
    "model",
    {
        ModelConfig: "gptkit.model.gpt:GPT",
        BigramConfig: "gptkit.model.bigram:Bigram",
        RNNConfig: "gptkit.model.rnn:RNN",
    },
    default="gpt",
)
