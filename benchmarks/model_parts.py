"""Time the parts of the model that gptkit does not leave to torch, beside torch's own.

    python benchmarks/model_parts.py

Forward and backward, CPU time of one thread, median in milliseconds: other work hardly matters.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gptkit.model.attend import attend_by_matmul
from gptkit.model.dropout import Dropout
from gptkit.model.norm import RMSNorm
from gptkit.model.positions import Rotation, rotary_table, rotate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
P = 0.2


def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'part':<12}{'shape':<20}{'dtype':<10}{'torch':>9}{'gptkit':>9}")
    for name, dtype in DTYPES.items():
        for shape in ((12, 64, 128), (16, 256, 384)):
            norms(shape, name, dtype)
        for shape in ((12, 64, 128), (16, 256, 384), (96, 256, 256)):
            dropouts(shape, name, dtype)
        for shape in ((12, 64, 4, 32), (16, 256, 6, 64)):
            turns(shape, name, dtype)
        for shape in ((12, 4, 64, 32), (16, 6, 128, 64), (16, 6, 256, 64), (8, 6, 512, 64)):
            attentions(shape, name, dtype)


def norms(shape: tuple[int, ...], name: str, dtype: torch.dtype) -> None:
    norm = RMSNorm(shape[-1], eps=1e-6)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    fused = lambda x: F.rms_norm(x, norm.weight.shape, norm.weight.to(dtype), 1e-6)  # noqa: E731
    report("rms_norm", shape, name, timed(fused, x), timed(norm, x))


def dropouts(shape: tuple[int, ...], name: str, dtype: torch.dtype) -> None:
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    report("dropout", shape, name, timed(lambda x: F.dropout(x, P), x), timed(Dropout(P), x))


def turns(shape: tuple[int, ...], name: str, dtype: torch.dtype) -> None:
    table = rotary_table(shape[1], shape[-1], theta=10_000.0)
    rotation = Rotation(*table.unsqueeze(-3).unbind(-2))
    cos, sin = rotation.cos.to(dtype), rotation.sin.to(dtype)

    def by_autograd(x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.addcmul(x * cos, torch.cat((b, a), dim=-1), sin)

    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    report("rotate", shape, name, timed(by_autograd, x), timed(lambda x: rotate(x, rotation), x))


def attentions(shape: tuple[int, ...], name: str, dtype: torch.dtype) -> None:
    q, k, v = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))
    for part, dropout in (("attend", None), ("attend, drop", Dropout(P))):
        p = 0.0 if dropout is None else P
        kernel = timed(
            lambda *qkv, p=p: F.scaled_dot_product_attention(*qkv, is_causal=True, dropout_p=p),
            *(q, k, v),
        )
        spelled_out = timed(
            lambda *qkv, dropout=dropout: attend_by_matmul(*qkv, None, dropout), *(q, k, v)
        )
        report(part, shape, name, kernel, spelled_out)


def timed(part: Callable[..., Tensor], *inputs: Tensor) -> float:
    """Return the median milliseconds of a forward and a backward pass."""
    gradient = torch.randn_like(part(*inputs))
    passes = 7 if gradient.numel() > 500_000 else 50
    times = []
    for _ in range(passes):
        for x in inputs:
            x.grad = None
        start = time.process_time()
        part(*inputs).backward(gradient)
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def report(part: str, shape: tuple[int, ...], name: str, torchs: float, ours: float) -> None:
    print(f"{part:<12} {shape!s:<20}{name:<10}{torchs:8.2f} {ours:8.2f}", flush=True)


if __name__ == "__main__":
    main()
