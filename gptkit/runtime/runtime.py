"""`Runtime`: what this process computes on, how precisely, and how it works with the other ranks.

The only module that imports torch.distributed. With one process, everything about ranks is free of
cost.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from gptkit.errors import GptkitError
from gptkit.runtime.choose import Workload, choose, choose_device
from gptkit.runtime.config import RuntimeConfig
from gptkit.runtime.launch import Place
from gptkit.runtime.memory import keep_freed_memory
from gptkit.runtime.peak import peak_flops

# A dead rank closes its connections and is noticed at once; this only bounds silence. The others
# wait this long for rank 0 to prepare the data, so it is no small number.
_SILENCE = timedelta(hours=2)

# No part of a model keeps running statistics: its buffers are the same everywhere and stay so. Newer
# torch has another name for it and warns of the old one.
_BUFFERS_OPTION = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)
_BUFFERS_STAY: dict[str, Any] = {_BUFFERS_OPTION: False}

_HOPPER = (9, 0)
_GLOO_RESTS_SECONDS = 0.1
_BARRIER_POLL_SECONDS = 0.02
_PEER_IS_GONE = ("by peer", "Broken pipe")  # gloo's words: its errors have no type of their own

_NO_DOCUMENTS: Mapping[str, Tensor | None] = {"documents": None}
_EAGER_FLOAT32 = RuntimeConfig(device="cpu", dtype="float32", compile=False)


@dataclass
class Runtime:
    """This process: its device, its precision, its place among the ranks."""

    device: torch.device
    config: RuntimeConfig = _EAGER_FLOAT32
    """The settings without any `auto`; compile becomes false where the compiler failed."""
    rank: int = 0
    world_size: int = 1
    reasons: tuple[str, ...] = ()
    """Why `auto` became what it is, each in a few words."""
    scaler: GradScaler = field(default_factory=lambda: GradScaler("cpu", enabled=False))
    """Keeps float16 gradients above the smallest number; part of the training state."""

    @classmethod
    @contextmanager
    def start(cls, config: RuntimeConfig, workload: Workload | None = None) -> Iterator[Runtime]:
        """Join the other ranks, choose what is `auto`, set the process up; undo it all at the end.

        workload: what will be trained, None where nothing is. Rank 0 chooses for all: a trial may
        end differently on each.

        Raises: ConfigError when the device is not there or cannot do what is asked.
        """
        place = Place.from_environment()
        device = choose_device(
            config.device, local_rank=place.local_rank, world_size=place.world_size
        )
        with ExitStack() as undo:
            undo.enter_context(_set_up(device, deterministic=config.deterministic))
            undo.enter_context(attention_order(device))
            if place.world_size > 1:
                undo.enter_context(_process_group(device))
            choices = [choose(config, device, workload) if place.rank == 0 else None]
            if place.world_size > 1:
                dist.broadcast_object_list(choices, src=0)
            assert choices[0] is not None
            resolved, reasons = choices[0]
            scaled = resolved.dtype == "float16" and device.type == "cuda"
            yield cls(
                device=device,
                config=resolved,
                rank=place.rank,
                world_size=place.world_size,
                reasons=reasons,
                scaler=GradScaler(device.type, enabled=scaled),
            )

    @property
    def is_main(self) -> bool:
        """Whether this process saves, logs and speaks for all."""
        return self.rank == 0

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the matrix products."""
        dtype = getattr(torch, self.config.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Compute matrix products in `dtype`; weights and sums stay float32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def peak_flops(self) -> float | None:
        """Return the peak of one device in FLOP/s, None where it is not known."""
        return peak_flops(self.device, self.dtype)

    def replicate(
        self,
        objective: nn.Module,
        example: Tensor,
        *,
        inputs: Mapping[str, Tensor | None] = _NO_DOCUMENTS,
        warn: Callable[[str], None],
    ) -> nn.Module:
        """Return what to train in place of `objective`: compiled, in step with the other ranks.

        The parameters stay the same tensors. objective: (tokens, targets, **inputs) -> loss;
        example: (B, T) tokens, as in training, to try the compiler with; inputs: what goes with them.
        Where it fails, `warn` gets one line and the run goes on without.
        """
        if self.device.type == "cpu":
            keep_freed_memory()
        replica = (
            self._compiled(objective, example, inputs, warn) if self.config.compile else objective
        )
        if self.world_size == 1:
            return replica
        device_ids = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            replica, device_ids, gradient_as_bucket_view=True, **_BUFFERS_STAY
        )

    def _compiled(
        self,
        objective: nn.Module,
        example: Tensor,
        inputs: Mapping[str, Tensor | None],
        warn: Callable[[str], None],
    ) -> nn.Module:
        compiled = torch.compile(objective, dynamic=False)
        assert isinstance(compiled, nn.Module)
        problem = ""
        try:
            tokens = example.to(self.device)
            given = {name: x if x is None else x.to(self.device) for name, x in inputs.items()}
            with self.autocast():
                loss = compiled(tokens, tokens, **given)
            loss.backward()
        except torch.OutOfMemoryError:
            pass  # it compiles; training cuts the batch smaller
        except (
            Exception
        ) as error:  # the compiler's own, the C++ compiler's, the driver's: all mean eager
            problem = next(iter(str(error).splitlines()), "") or type(error).__name__
        objective.zero_grad(set_to_none=True)
        if not self.any_rank(bool(problem)):
            return compiled
        warn(f"not compiled: {problem or 'it failed on another rank'}")
        self.config = self.config.model_copy(update={"compile": False})
        return objective

    def gradient_sync(self, replica: nn.Module, *, enabled: bool) -> AbstractContextManager[object]:
        """Average the gradients of the backward passes inside over the ranks, if `enabled`."""
        if enabled or not isinstance(replica, DistributedDataParallel):
            return nullcontext()
        return replica.no_sync()

    def sum_over_ranks(self, value: Tensor) -> Tensor:
        """Return the sum of every rank's `value`; `value` stays as it is."""
        if self.world_size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return, for each place, the largest value of any rank; no device has to wait for it."""
        if self.world_size == 1:
            return list(values)
        agreed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
        return [float(value) for value in agreed]

    def any_rank(self, flag: bool) -> bool:
        """Whether any rank says so."""
        return self.largest([float(flag)])[0] > 0

    def barrier(self) -> None:
        """Wait for the other ranks, for hours if need be: signals are heard meanwhile."""
        if self.world_size == 1:
            return
        all_there = dist.all_reduce(torch.zeros(1), async_op=True)
        while not all_there.is_completed():
            time.sleep(_BARRIER_POLL_SECONDS)
        all_there.wait()


@contextmanager
def _set_up(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Set what holds for the whole process; put it back at the end: notebooks outlive a run."""
    precision = torch.get_float32_matmul_precision()
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        # TensorFloat-32 for what stays in float32: 10 bits of mantissa, as good as bfloat16's 7
        # beside it.
        torch.set_float32_matmul_precision("high")
    if deterministic:
        # cuBLAS reads it when it starts; without it torch refuses its matrix products.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if deterministic:  # asking for it, or for the opposite, imports the whole compiler
            torch.use_deterministic_algorithms(was_deterministic)


def attention_order(device: torch.device) -> AbstractContextManager[object]:
    """Let torch try cuDNN's attention first on Hopper, and only there.

    It is 1.7 to 2.3 times as fast there as FlashAttention, which torch prefers, and slower on other
    GPUs (huggingface/transformers#48163 has measured six). Nothing is left out by it.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) != _HOPPER:
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    order = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")
    return sdpa_kernel([getattr(SDPBackend, name) for name in order], set_priority=True)


@contextmanager
def _process_group(device: torch.device) -> Iterator[None]:
    # CUDA tensors go over NCCL; flags and clocks over gloo, so that asking for them does not wait
    # for the GPU.
    nccl = device.type == "cuda" and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=_SILENCE)
    try:
        yield
        # A rank that left early would break what the others still have to say to each other.
        dist.all_reduce(torch.zeros(1))
        # gloo's threads drop their last tensors a moment later and need the interpreter for it: one
        # that ends in that moment aborts (seen in 5 of 12 runs with torch 2.13).
        time.sleep(_GLOO_RESTS_SECONDS)
    except RuntimeError as error:
        if any(words in str(error) for words in _PEER_IS_GONE):
            raise GptkitError(
                "another process of this run has ended, and so does this one"
            ) from error
        raise
    finally:
        dist.destroy_process_group()
