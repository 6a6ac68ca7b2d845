"""The functions of parts.cpp, and when they serve."""

from __future__ import annotations

import ctypes
import functools

import torch
from torch import Tensor

from gptkit.model.native import PARTS
from gptkit.native.build import library

KINDS = {torch.float32: 0, torch.bfloat16: 1}

_KIND, _COUNT, _NUMBER, _POINTER = ctypes.c_int, ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
_ARGUMENTS = {
    "norm": (_KIND, _KIND, *[_POINTER] * 4, _COUNT, _COUNT, _NUMBER),
    "norm_back": (_KIND, _KIND, *[_POINTER] * 6, _COUNT, _COUNT),
    "heads": (_KIND, *[_POINTER] * 6),
    "heads_back": (_KIND, *[_POINTER] * 8),
    "drop": (_KIND, _POINTER, _POINTER, _COUNT, _POINTER),
    "bend": (_KIND, _KIND, *[_POINTER] * 3, _COUNT),
    "bend_back": (_KIND, _KIND, *[_POINTER] * 5, _COUNT),
    "weigh": (_KIND, *[_POINTER] * 4),
    "weigh_back": (_KIND, *[_POINTER] * 5),
}


class Heads(ctypes.Structure):
    """What parts.cpp calls so: of a product for attention, its sizes, norms and rotation."""

    _fields_ = (
        *((name, _COUNT) for name in ("batch", "positions", "queries", "keys", "width")),
        ("weights", _POINTER * 2),
        ("cosines", _POINTER),
        ("sines", _POINTER),
        ("batch_stride", _COUNT),
        ("position_stride", _COUNT),
        ("eps", _NUMBER),
    )


class View(ctypes.Structure):
    """What softmax.h calls so: of the scores of attention, their sizes, what a query sees, and their scale."""

    _fields_ = (
        *((name, _COUNT) for name in ("matrices", "queries", "keys", "first", "window")),
        ("scale", _NUMBER),
    )


class Dropping(ctypes.Structure):
    """What dropout.h calls so: which numbers become 0, and what the others are multiplied by."""

    _fields_ = (("seed", ctypes.c_uint64), ("dropped", _COUNT), ("scale", _NUMBER))


def parts_for(x: Tensor, *others: Tensor) -> ctypes.CDLL | None:
    """Return the compiled parts if they take these tensors, as `gptkit_NAME`; None: torch has to do it.

    They get pointers: tensors have to be contiguous, and what was given to be written, of the right shape.
    """
    # A subclass may have no memory to point to: that of `gptkit plan` only says what there would be.
    if any(type(each) is not Tensor or not each.is_cpu for each in (x, *others)):
        return None
    if x.dtype not in KINDS or any(other.dtype != x.dtype for other in others):
        return None
    if torch.compiler.is_compiling():
        return None
    return _parts()


@functools.cache
def _parts() -> ctypes.CDLL | None:
    found = library(PARTS)
    if isinstance(found, str):
        return None
    for name, arguments in _ARGUMENTS.items():
        function = getattr(found, f"gptkit_{name}")
        function.argtypes, function.restype = arguments, None
    return found
