"""One optimizer step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gptkit.data.batches import Batch
from gptkit.runtime.runtime import Runtime
from gptkit.training.feed import micro_batch_index
from gptkit.training.update import Update

# A step that takes longer is not waited for by those who want to stop; torchrun kills after 30.
_LONG_STEP_SECONDS = 10.0


class MicroBatchTooLargeError(Exception):
    """The device has no memory for the forward and backward pass of a micro-batch."""


class StepGivenUpError(Exception):
    """Somebody wants to stop, and the step would have taken long; nothing has changed."""


@dataclass(frozen=True)
class StepResult:
    """What a step found; 0-dim tensors on its device, so that reading them is what waits for it."""

    loss: Tensor
    """Nats per target (or pair of answers), over all micro-batches and ranks, before the update."""
    grad_norm: Tensor
    """Norm of the whole gradient before clipping."""


def train_step(
    objective: nn.Module,
    micro_batches: Sequence[Batch],
    update: Update,
    *,
    step: int,
    seed: int,
    runtime: Runtime,
    should_stop: Callable[[], bool] = lambda: False,
) -> StepResult:
    """Update the weights by the mean gradient over every target of the micro-batches of all ranks.

    A sum of nats over a count of targets, not a mean of means: however the batch is cut, and
    whichever targets are masked, the gradient is that of the whole batch.

    objective: (tokens, targets, inputs of the batch) -> summed nats, such as NextTokenObjective; in
    training mode, in step with the other ranks. step: steps done before this one. should_stop: whether a
    step of one process that takes long, such as a large batch on a CPU, is to be given up.

    Raises: FaultyStepError when loss or gradient are not sound; MicroBatchTooLargeError when the
    device has no memory for a micro-batch; StepGivenUpError. Nothing has changed then.
    """
    deadline = time.monotonic() + _LONG_STEP_SECONDS

    def gives_up() -> bool:
        return runtime.world_size == 1 and time.monotonic() > deadline and should_stop()

    try:
        loss = _backward(
            objective, micro_batches, step=step, seed=seed, runtime=runtime, gives_up=gives_up
        )
    except StepGivenUpError:
        objective.zero_grad(set_to_none=True)
        raise
    except torch.OutOfMemoryError as error:
        message = next(iter(str(error).splitlines()), "")
    else:
        return StepResult(loss=loss, grad_norm=update.apply(loss, step=step + 1))
    # Only here has the error let go of the tensors of the failed pass.
    objective.zero_grad(set_to_none=True)
    raise MicroBatchTooLargeError(message)


def _backward(
    objective: nn.Module,
    micro_batches: Sequence[Batch],
    *,
    step: int,
    seed: int,
    runtime: Runtime,
    gives_up: Callable[[], bool],
) -> Tensor:
    """Leave the gradients of the mean loss over all micro-batches and ranks; return that loss."""
    counts = torch.stack([batch.num_learned() for batch in micro_batches])
    num_learned = runtime.sum_over_ranks(counts.sum()).clamp(min=1)
    nats = torch.zeros((), device=runtime.device)
    for i, batch in enumerate(micro_batches):
        if gives_up():
            raise StepGivenUpError
        index = micro_batch_index(step, i, len(micro_batches), runtime)
        torch.manual_seed(chance(seed, step, index))
        is_last = i == len(micro_batches) - 1
        with runtime.gradient_sync(objective, enabled=is_last):
            with runtime.autocast():
                part = objective(batch.tokens, batch.targets, **batch.inputs())
            # The ranks' gradients are averaged, but they are parts of one sum.
            share = part * runtime.world_size / num_learned
            torch.autograd.backward(runtime.scaler.scale(share))
        nats += part.detach()
    return runtime.sum_over_ranks(nats) / num_learned


def chance(seed: int, step: int, micro_batch: int) -> int:
    """Return the seed of a micro-batch's dropout, so that no random state needs saving."""
    text = f"{seed} {step} {micro_batch}".encode("ascii")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
