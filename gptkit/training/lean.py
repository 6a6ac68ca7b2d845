"""torch's optimizers without its compiler.

torch wraps what an optimizer does so that torch.compile leaves it alone, and each wrapper imports
torch._dynamo when it is first called: 0.8 s, half of a second more when the process ends, in a run
that compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.optim import Optimizer

_F = TypeVar("_F", bound=Callable[..., object])


def _unwrapped(method: _F) -> _F:
    inner: _F = getattr(method, "__wrapped__", method)
    return inner


class LeanOptimizer(Optimizer):
    """An optimizer whose bookkeeping is not wrapped for a compiler; its step is not either."""

    add_param_group = _unwrapped(Optimizer.add_param_group)
    zero_grad = _unwrapped(Optimizer.zero_grad)
    state_dict = _unwrapped(Optimizer.state_dict)
    load_state_dict = _unwrapped(Optimizer.load_state_dict)


class AdamW(LeanOptimizer, torch.optim.AdamW):
    """torch.optim.AdamW; its step is not differentiable."""

    step = torch.no_grad()(_unwrapped(torch.optim.AdamW.step))
