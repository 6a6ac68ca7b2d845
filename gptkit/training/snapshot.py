"""The state of training as a copy in memory: what a checkpoint is written from while steps go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gptkit.errors import DivergenceError
from gptkit.training.optimizer_state import load_optimizer_state, optimizer_state
from gptkit.training.progress import Progress


@dataclass(frozen=True)
class Snapshot:
    """Everything that a run goes on from, on the CPU; nobody changes it."""

    progress: Progress
    weights: Mapping[str, Tensor]
    """As in model.state_dict()."""
    optimizer_tensors: Mapping[str, Tensor]
    optimizer_values: Mapping[str, Any]


@dataclass(frozen=True)
class KeptWeights:
    """What checkpoints hold of a model whose other weights are in another one's checkpoint."""

    names: frozenset[str]
    """Of the weights that learn, as in model.state_dict()."""
    besides: Mapping[str, Tensor]
    """What the other checkpoint lacks, and no step changes."""


@dataclass(frozen=True)
class TrainingState:
    """What steps change."""

    model: nn.Module
    """The model itself, not its replica."""
    optimizer: Optimizer
    scaler: GradScaler
    kept: KeptWeights | None = None
    """None: checkpoints hold all weights."""

    def weights(self) -> Mapping[str, Tensor]:
        """Return the weights that a checkpoint holds, by name; they share memory with the model."""
        weights: dict[str, Tensor] = self.model.state_dict()
        if self.kept is None:
            return weights
        return {name: weights[name] for name in sorted(self.kept.names)} | {**self.kept.besides}

    def snapshot(self, progress: Progress) -> Snapshot:
        """Return a copy of the state after the steps of `progress`.

        Raises: DivergenceError when a weight is not finite, or the optimizer's state holds a NaN.
        """
        tensors, values = optimizer_state(self.optimizer, self.model, self.scaler)
        weights = self.weights()
        # An infinite moment makes a step of 0; a NaN spreads at the next step.
        if not (_all_finite(weights.values()) and _no_nan(tensors.values())):
            raise DivergenceError(f"step {progress.step}: a weight is not finite any more")
        return Snapshot(
            replace(progress, last=dict(progress.last), losses=list(progress.losses)),
            _copies(weights),
            _copies(tensors),
            values,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Give weights and optimizer the state that they had."""
        self.model.load_state_dict(snapshot.weights, strict=self.kept is None)
        load_optimizer_state(
            self.optimizer,
            self.model,
            snapshot.optimizer_tensors,
            snapshot.optimizer_values,
            self.scaler,
        )
        self.optimizer.zero_grad(set_to_none=True)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in memory of their own, on the CPU; a GPU sends all of them at once."""
    copies = {}
    devices = set()
    for name, tensor in tensors.items():
        from_gpu = tensor.device.type == "cuda"
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=from_gpu)
        copies[name] = copy.copy_(tensor.detach(), non_blocking=from_gpu)
        if from_gpu:
            devices.add(tensor.device)
    for device in devices:
        torch.cuda.synchronize(device)
    return copies


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    ends = _ends(tensors)
    return ends is None or bool(ends.isfinite().all())


def _no_nan(tensors: Iterable[Tensor]) -> bool:
    ends = _ends(tensors)
    return ends is None or not bool(ends.isnan().any())


def _ends(tensors: Iterable[Tensor]) -> Tensor | None:
    """Return the smallest and largest numbers of all tensors, in one tensor; NaN hides neither.

    One pass without a copy, unlike isfinite; and the host waits for the device once.
    """
    ends = [
        end.float()
        for tensor in tensors
        if tensor.is_floating_point() and tensor.numel()
        for end in torch.aminmax(tensor.detach())
    ]
    if not ends:
        return None
    device = max((end.device for end in ends), key=lambda device: device.type != "cpu")
    return torch.stack([end.to(device) for end in ends])
