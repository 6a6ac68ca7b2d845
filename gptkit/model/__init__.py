"""Decoder-only transformers and their caches.

Only settings are imported at once; what needs torch is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptkit.model.config import ModelConfig

if TYPE_CHECKING:
    from gptkit.model.cache import Cache, KVCache
    from gptkit.model.gpt import GPT

__all__ = ["GPT", "Cache", "KVCache", "ModelConfig"]

_HOMES = {"GPT": "gpt", "Cache": "cache", "KVCache": "cache"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
