"""The draw of a token, compiled: one pass over the logits, where torch makes a dozen."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from gptkit.generation.native import STEP
from gptkit.native.build import library


@functools.cache
def native_draw() -> Callable[..., int] | None:
    """Return draw.h's `gptkit_draw`, or None where nothing is compiled."""
    found = library(STEP)
    if isinstance(found, str):
        return None
    draw: Callable[..., int] = found.gptkit_draw
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    found.gptkit_draw.argtypes = (pointer, count, count, pointer, pointer)
    return draw
