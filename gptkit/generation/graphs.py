"""A GPU's work of one step, recorded once and played again: one launch in place of some two hundred.

A small model's step takes a GPU less time than Python takes to ask for its kernels one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_WARM_UP = 3


class Recorded:
    """`work` as a CUDA graph: it reads the same tensors each time, and writes the same ones.

    `undo` takes back what a call does to its state: before it is recorded, it is called some times.
    """

    def __init__(
        self, work: Callable[[Tensor], Tensor], tokens: Tensor, undo: Callable[[], None]
    ) -> None:
        self._tokens = tokens.clone()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                work(self._tokens)
                undo()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._result = work(self._tokens)
            # Nothing runs while it is recorded: there is nothing to undo.

    def __call__(self, tokens: Tensor) -> Tensor:
        self._tokens.copy_(tokens)
        self._graph.replay()
        return self._result
