"""The update: clip the gradient, make sure that it is finite, let the optimizer step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from gptkit.errors import DivergenceError
from gptkit.runtime.runtime import Runtime

_SMALLEST_SCALE = 1.0


class Update:
    """Applies an optimizer to finite gradients only.

    The host looks at the loss and the norm before the optimizer steps. On CUDA that would make it
    wait for the GPU at each step, so where the optimizer's kernel takes a flag (`found_inf`, made
    for loss scaling) the flag is computed on the GPU, stays set, and the host looks when it waits
    anyway: `check`.
    """

    def __init__(self, optimizer: Optimizer, *, grad_clip: float | None, runtime: Runtime) -> None:
        """grad_clip: largest norm of the gradient, None: not clipped."""
        self._optimizer = optimizer
        self._grad_clip = grad_clip
        self._scaler = runtime.scaler
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        self._looks_later = (
            fused and runtime.device.type == "cuda" and not self._scaler.is_enabled()
        )
        # Step, loss and norm of the first step that was not finite; step 0 stands for none.
        self._fault = torch.zeros(3, dtype=torch.float32, device=runtime.device)

    def apply(self, loss: Tensor, *, step: int) -> Tensor:
        """Update the weights and drop their gradients; return the norm of these before clipping.

        loss: 0-dim, nats per target; step: its number, from 1, for the message.

        Raises: DivergenceError when loss or norm are not finite, before anything changed.
        """
        self._scaler.unscale_(self._optimizer)
        norm = self._clip()
        if self._looks_later:
            self._note(step, loss, norm)
        else:
            self._look(step, loss, norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def check(self) -> None:
        """Look whether the steps so far were finite; since one that was not, no weight has changed.

        Raises: DivergenceError when one was not.
        """
        if self._looks_later:
            step, loss, norm = self._fault.tolist()
            if step:
                raise _divergence(int(step), loss, norm)

    def _clip(self) -> Tensor:
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._grad_clip is not None:
            clip_grads_with_norm_(parameters, self._grad_clip, norm)
        return norm

    def _note(self, step: int, loss: Tensor, norm: Tensor) -> None:
        now = torch.stack([torch.full_like(loss, step), loss.detach(), norm])
        faulty = ~(loss.isfinite() & norm.isfinite())
        self._fault = torch.where((self._fault[0] == 0) & faulty, now, self._fault)
        self._optimizer.grad_scale = None  # type: ignore[attr-defined]
        self._optimizer.found_inf = (self._fault[0] != 0).float()  # type: ignore[attr-defined]

    def _look(self, step: int, loss: Tensor, norm: Tensor) -> None:
        # float16 gradients overflow now and then: the scaler leaves such a step out and scales
        # less.
        excused = self._scaler.is_enabled() and self._scaler.get_scale() >= _SMALLEST_SCALE
        if not loss.isfinite() or not (excused or norm.isfinite()):
            self._optimizer.zero_grad(set_to_none=True)
            raise _divergence(step, float(loss), float(norm))


def _divergence(step: int, loss: float, norm: float) -> DivergenceError:
    return DivergenceError(
        f"step {step}: training diverged: loss {loss:.4g}, norm of the gradient {norm:.4g}; a lower"
        " optimizer.learning_rate, a longer warmup or a smaller training.grad_clip may help"
    )
