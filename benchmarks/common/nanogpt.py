"""The models of a checkout of nanoGPT."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from common.shapes import Shape


def model_code(checkout: Path) -> ModuleType:
    """Return its model.py, imported anew."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def new_model(checkout: Path, shape: Shape, **settings: Any) -> Any:
    """Return a model with new weights; settings: further fields of its GPTConfig."""
    code = model_code(checkout)
    config = code.GPTConfig(
        block_size=shape.context_length,
        vocab_size=shape.vocab_size,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        **settings,
    )
    return code.GPT(config)
