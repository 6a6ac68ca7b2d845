"""The update: clip the gradient, make sure that the step is sound, let the optimizer step."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gptkit.errors import DivergenceError
from gptkit.runtime.runtime import Runtime
from gptkit.training.spikes import SpikeWatch

_SMALLEST_SCALE = 1.0


class FaultyStepError(DivergenceError):
    """A step whose loss or gradient must not reach the weights."""

    def __init__(self, step: int, loss: float, norm: float) -> None:
        if math.isfinite(loss) and math.isfinite(norm):
            what = f"the loss jumped to {loss:.4g} (training.spike_threshold)"
        else:
            what = f"training diverged: loss {loss:.4g}, norm of the gradient {norm:.4g}"
        super().__init__(f"step {step}: {what}")
        self.step = step
        """Its number, from 1."""


class Update:
    """Applies an optimizer to sound gradients only.

    The host looks at the loss and the norm before the optimizer steps. On CUDA that would make it
    wait for the GPU at each step, so where the optimizer's kernel takes a flag (`found_inf`, made
    for loss scaling) the flag is computed on the GPU, stays set, and the host looks when it waits
    anyway: `check`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        grad_clip: float | None,
        runtime: Runtime,
        spikes: SpikeWatch | None = None,
    ) -> None:
        """grad_clip: largest norm of the gradient, None: not clipped."""
        self._optimizer = optimizer
        self._grad_clip = grad_clip
        self._scaler = runtime.scaler
        self._spikes = spikes
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        self._looks_later = (
            fused and runtime.device.type == "cuda" and not self._scaler.is_enabled()
        )
        # Step, loss and norm of the first faulty step; step 0 stands for none.
        self._fault = torch.zeros(3, dtype=torch.float32, device=runtime.device)

    def apply(self, loss: Tensor, *, step: int) -> Tensor:
        """Update the weights and drop their gradients; return the norm of these before clipping.

        loss: 0-dim, nats per target; step: its number, from 1, for the message.

        Raises: FaultyStepError when loss or norm are not finite or the loss is a spike, before
        anything changed.
        """
        self._scaler.unscale_(self._optimizer)
        norm = self._clip()
        if self._looks_later:
            self._note(step, loss, norm)
        else:
            self._look(step, loss, norm)
        if self._spikes is not None:
            self._spikes.note(loss)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def check(self) -> None:
        """Look whether the steps so far were sound; since one that was not, no weight has changed.

        Raises: FaultyStepError when one was not.
        """
        if self._looks_later:
            step, loss, norm = self._fault.tolist()
            if step:
                self._fault.zero_()
                raise FaultyStepError(int(step), loss, norm)

    def _clip(self) -> Tensor:
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._grad_clip is not None:
            clip_grads_with_norm_(parameters, self._grad_clip, norm)
        return norm

    def _is_spike(self, loss: Tensor) -> Tensor:
        if self._spikes is None:
            return torch.zeros_like(loss, dtype=torch.bool)
        return self._spikes.deviations(loss.detach()) > 1.0

    def _note(self, step: int, loss: Tensor, norm: Tensor) -> None:
        now = torch.stack([torch.full_like(loss, step), loss.detach(), norm])
        faulty = ~(loss.isfinite() & norm.isfinite()) | self._is_spike(loss)
        self._fault = torch.where((self._fault[0] == 0) & faulty, now, self._fault)
        self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        self._optimizer.found_inf = (self._fault[0] != 0).float()  # type: ignore[attr-defined]

    def _look(self, step: int, loss: Tensor, norm: Tensor) -> None:
        # float16 gradients overflow now and then: the scaler leaves such a step out and scales
        # less.
        excused = self._scaler.is_enabled() and self._scaler.get_scale() >= _SMALLEST_SCALE
        finite = bool(loss.isfinite()) and (excused or bool(norm.isfinite()))
        if not finite or self._is_spike(loss):
            self._optimizer.zero_grad(set_to_none=True)
            raise FaultyStepError(step, float(loss), float(norm))
