"""Mistakes to plant in an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.interchange import parameters

_SWAP = {"gate_proj": "up_proj", "up_proj": "gate_proj"}


def swap_gate_and_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the table of names confuse two matrices, in both directions."""
    names = parameters._llama_names

    def swapped(config: Any) -> Iterator[tuple[str, tuple[str, ...], bool]]:
        for ours, theirs, transposed in names(config):
            part = next((part for part in _SWAP if part in ours), None)
            yield (
                ours,
                theirs if part is None else (theirs[0].replace(part, _SWAP[part]),),
                transposed,
            )

    monkeypatch.setattr(parameters, "_llama_names", swapped)


def pad_vocabulary(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Give the embedding of an export rows that no token has. module: the one that writes it."""
    original = parameters.to_theirs

    def padded(weights: Mapping[str, Tensor], slots: list[parameters.Slot]) -> dict[str, Tensor]:
        tensors = original(weights, slots)
        name = "model.embed_tokens.weight"
        return tensors | {name: torch.nn.functional.pad(tensors[name], (0, 0, 0, 7))}

    monkeypatch.setattr(module, "to_theirs", padded)
