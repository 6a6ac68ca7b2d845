"""This process: its device, its precision, its place among the ranks.

Only settings are imported at once; what needs torch is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gptkit.runtime.config import RuntimeConfig

if TYPE_CHECKING:
    from gptkit.runtime.choose import Workload, choose_device, multiplies_bfloat16
    from gptkit.runtime.interrupt import Interrupt
    from gptkit.runtime.launch import is_launched
    from gptkit.runtime.runtime import Runtime

__all__ = [
    "Interrupt",
    "Runtime",
    "RuntimeConfig",
    "Workload",
    "choose_device",
    "is_launched",
    "multiplies_bfloat16",
]

_HOMES = {
    "Interrupt": "interrupt",
    "Runtime": "runtime",
    "Workload": "choose",
    "choose_device": "choose",
    "is_launched": "launch",
    "multiplies_bfloat16": "choose",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
