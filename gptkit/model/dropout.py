"""Dropout that is not held up by the CPU's random numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """In training, zero each channel with probability p and scale the others to keep the mean."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape -> the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.is_cpu and not torch.compiler.is_compiling():
            return _drop_by_16_bits(x, self.p)
        return F.dropout(x, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _drop_by_16_bits(x: Tensor, p: float) -> Tensor:
    """Drop with p rounded to 16 bits, so that a random 64-bit integer decides about four channels.

    On a CPU it takes a sixth to a third of the time of torch's dropout, which draws a number for
    each channel, from a slower generator: benchmarks/model_parts.py. The seed is torch's.
    """
    dropped = min(round(p * 2**16), 2**16 - 1)  # of the 2**16 values of 16 bits
    generator = np.random.SFC64(int(torch.randint(2**62, ())))
    words = torch.from_numpy(generator.random_raw((x.numel() + 3) // 4).view(np.int16))
    # In place, so that no bool comes to be: turning those into numbers is slow.
    keep = words[: x.numel()].view(x.shape).ge_(dropped - 2**15)
    return x * keep.to(x.dtype).mul_(2**16 / (2**16 - dropped))
