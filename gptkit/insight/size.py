"""How large a model is, part by part."""

from __future__ import annotations

from torch import nn


def parameters_by_part(model: nn.Module) -> dict[str, int]:
    """Return the parameters of each part of a model, in its order; those of all blocks add up.

    A tied head has none of its own: {"token_embedding": 8320, "norms": 640, "attention": 65536, "mlp": 98304}.
    """
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        words = name.split(".")
        part = words[2] if words[0] == "blocks" else words[0]
        part = "norms" if part.endswith("norm") else part
        found[part] = found.get(part, 0) + parameter.numel()
    return found
