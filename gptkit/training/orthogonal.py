"""The nearest orthogonal matrix, or nearly so, by matrix products alone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Coefficients = Literal["original", "polar_express"]

# a, b, c of a x + b x^3 + c x^5 in each iteration; the last one is repeated.
_COEFFICIENTS = {
    # Keller Jordan, https://kellerjordan.github.io/posts/muon/: as steep at 0 as it can be while
    # repeating it still brings every x in (0, 1] to about 0.7 .. 1.2.
    "original": ((3.4445, -4.7750, 2.0315),),
    # Polar Express, arXiv:2505.16932, algorithm 1: each is the best for the interval that the one
    # before leaves of [0.001, 1] (minimax, with the paper's cushion 0.024), of x / 1.01 so that
    # rounding cannot leave that interval. Five end between 0.85 and 1.13.
    "polar_express": (
        (8.205160, -22.901935, 16.460725),
        (4.066395, -2.861154, 0.518400),
        (3.909595, -2.823352, 0.525037),
        (3.285564, -2.415302, 0.485294),
        (2.277873, -1.619822, 0.398481),
    ),
}
_SMALLEST_NORM = 1e-7


def orthogonalise(
    matrices: Tensor, *, steps: int, coefficients: Coefficients = "original"
) -> Tensor:
    """Return matrices with the singular vectors of `matrices` and singular values near 1.

    (N, R, C) with R <= C, float32 -> (N, R, C) in the dtype that the device multiplies fastest. A
    matrix of zeros stays one.

    Newton-Schulz iteration: an odd polynomial of X acts on its singular values alone, so
    X <- a X + b (X X^T) X + c (X X^T)^2 X drives them to 1 by products only.
    """
    norms = torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True)
    x: Tensor = (matrices / norms.clamp(min=_SMALLEST_NORM)).to(_fastest_dtype(matrices.device))
    known = _COEFFICIENTS[coefficients]
    for step in range(steps):
        a, b, c = known[min(step, len(known) - 1)]
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def _fastest_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies it, else float32.

    From the hardware's own word and not from a stopwatch: a resumed run, and every rank, must come
    to the same answer.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32
