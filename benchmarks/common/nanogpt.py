"""The model code of a checkout of nanoGPT."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def model_code(checkout: Path) -> ModuleType:
    """Return its model.py, imported anew."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module
