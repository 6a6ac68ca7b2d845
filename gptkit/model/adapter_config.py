"""Settings of adapters: few parameters that are learned in the place of a model's own."""

from __future__ import annotations

from typing import Literal

from gptkit.section import Choices, PositiveFloat, PositiveInt, Probability, Section


class NoAdapterConfig(Section):
    """The model's own parameters learn."""

    name: Literal["none"] = "none"


class LoRAConfig(Section):
    """Low-rank updates beside the matrices of the blocks, which stay as they are."""

    name: Literal["lora"] = "lora"
    rank: PositiveInt = 8
    """Width of an update: the fewer, the fewer parameters learn."""
    alpha: PositiveFloat = 16.0
    """An update counts alpha / rank times."""
    dropout: Probability = 0.0
    """Chance that a channel is zeroed in front of an update, in training."""
    targets: tuple[str, ...] | None = None
    """Linear layers by name (qkv_proj) or pattern (blocks.0.*); null: all in the blocks."""


ADAPTERS = Choices(
    "adapter",
    {NoAdapterConfig: None, LoRAConfig: "gptkit.model.lora:add_lora"},
    default="lora",
)
