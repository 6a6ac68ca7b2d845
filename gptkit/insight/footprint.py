"""What a training step will ask of memory, found without any: a step on tensors that have no data.

torch's fake tensors go through the same operations as real ones and know their sizes; counting what
is alive gives the peak of one step, for any model and also where it would not fit.

Left out are what the process has before (Python, torch, code), the scratch space of kernels, and
what an allocator keeps beside.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gptkit.model import ModelConfig
from gptkit.model.ladder import MODELS
from gptkit.section import Section
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS

EVALUATION_TOKENS = 8192


@dataclass(frozen=True)
class StepShape:
    """What a step computes on."""

    rows: int
    """Sequences of a micro-batch."""
    context_length: int
    micro_batches: int
    """Of one device."""
    dtype: torch.dtype
    """Of the matrix products."""


@dataclass(frozen=True)
class Footprint:
    """Bytes."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """What the forward pass of a micro-batch keeps for the backward pass, up to the head."""
    logits: int
    """The same of the head and the loss."""
    step: int
    """Peak of a step, weights and optimizer included."""
    evaluation: int
    """Peak of an evaluation, weights and optimizer included."""

    @property
    def checkpoint(self) -> int:
        """What the copy takes that a checkpoint is written from, while steps go on."""
        return self.weights + self.optimizer

    @property
    def peak(self) -> int:
        """What a run takes at its peak, beside what the process has before."""
        return max(self.step, self.evaluation) + self.checkpoint


def footprint(
    model: ModelConfig, vocab_size: int, optimizer: Section, shape: StepShape
) -> Footprint:
    """Return what a run of this model takes on one device."""
    with FakeTensorMode(), _Live() as live:
        return _measure(MODELS.build(model, vocab_size), optimizer, shape, live)


def _measure(model: nn.Module, section: Section, shape: StepShape, live: _Live) -> Footprint:
    weights = live.now
    optimizer = OPTIMIZERS.build(section, model)
    objective = NextTokenObjective(model)
    tokens = torch.zeros((shape.rows, shape.context_length), dtype=torch.int64)
    autocast = torch.autocast("cpu", shape.dtype, enabled=shape.dtype != torch.float32)
    before = live.now
    with autocast:
        hidden: Tensor | None = model.hidden(tokens)  # type: ignore[operator]
        activations = live.now - before
    del hidden
    # The first step makes the optimizer's state, the second one meets it.
    for _ in range(2):
        live.begin()
        for _ in range(min(shape.micro_batches, 2)):
            before = live.now
            with autocast:
                loss = objective(tokens, tokens)
                kept = live.now - before
            torch.autograd.backward(loss)
            del loss
        gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    step = live.peak
    state = live.now - weights - tokens.nbytes
    live.begin()
    rows = -(-EVALUATION_TOKENS // shape.context_length)
    with torch.no_grad(), autocast:
        objective(*torch.zeros((2, rows, shape.context_length), dtype=torch.int64))
    return Footprint(
        weights=weights,
        gradients=gradients,
        optimizer=state,
        activations=activations,
        logits=max(0, kept - activations),
        step=step,
        evaluation=live.peak,
    )


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self) -> None:
        """Look for the peak from here on."""
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0  # some optimizers look at a number; any will do
        found = func(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, Tensor):
                self._meet(value.untyped_storage())
        return found

    def _meet(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage.nbytes())

    def _forget(self, num_bytes: int) -> None:
        self.now -= num_bytes
