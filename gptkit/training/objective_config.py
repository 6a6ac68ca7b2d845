"""Settings of the objective: what the loss of a batch is."""

from __future__ import annotations

from typing import Literal

from gptkit.section import Choices, PositiveFloat, Section


class NextTokenConfig(Section):
    """The cross-entropy of each next token."""

    name: Literal["next_token"] = "next_token"


class DPOConfig(Section):
    """Direct preference optimization: of two answers, make the chosen one gain more likelihood."""

    name: Literal["dpo"] = "dpo"
    beta: PositiveFloat = 0.1
    """How much it costs to move away from the model that training began with: the larger, the closer."""


OBJECTIVES = Choices(
    "objective",
    {
        NextTokenConfig: "gptkit.training.objective:build_next_token",
        DPOConfig: "gptkit.training.preference:build_dpo",
    },
    default="dpo",
)
