"""What was compared between two programs, and how far apart it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.errors import GptkitError


class ProofError(GptkitError):
    """What another program makes of a written file differs from gptkit: the file is not kept."""


@dataclass(frozen=True)
class Comparison:
    """One line of a proof."""

    what: str
    """Such as: log-probabilities, transformers 5.23.0 Qwen3ForCausalLM."""
    count: str
    """On how much: 512 tokens."""
    largest: float
    """The largest difference, or the number of differences."""
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the two agree; NaN never does."""
        return self.largest <= self.allowed


def require(comparisons: Sequence[Comparison], what: str = "export") -> None:
    """Raise a ProofError where a comparison does not hold."""
    failed = [c for c in comparisons if not c.holds]
    if failed:
        lines = (
            f"{c.what}: differs by {c.largest:.3g} on {c.count}, allowed {c.allowed:.3g}"
            for c in failed
        )
        raise ProofError(f"the {what} is wrong and was not kept: " + "; ".join(lines))


def compare_logits(what: str, ours: Tensor, theirs: Tensor, *, tolerance: float) -> Comparison:
    """Compare two (..., V) float tensors of logits as log-probabilities.

    tolerance: for logits up to 10; see `allowance`.
    """
    if ours.shape != theirs.shape:
        shapes = f"{tuple(theirs.shape)} instead of {tuple(ours.shape)}"
        raise ProofError(f"the export is wrong and was not kept: {what}: logits of shape {shapes}")
    a, b = ours.double().log_softmax(-1), theirs.double().log_softmax(-1)
    largest = float((a - b).abs().max())
    allowed = allowance(tolerance, float(ours.abs().max()))
    return Comparison(what, f"{ours[..., 0].numel():,} tokens", largest, allowed)


def allowance(tolerance: float, largest_logit: float) -> float:
    """Return what may differ: floating point rounds large logits more coarsely than those up to 10."""
    return tolerance * max(1.0, largest_logit / 10)


def compare_texts(
    what: str,
    texts: Iterable[str],
    ours: Callable[[str], list[int]],
    theirs: Callable[[str], list[int]],
) -> Comparison:
    """Compare two tokenizers, text by text."""
    texts = list(texts)
    wrong = sum(ours(text) != theirs(text) for text in texts)
    return Comparison(what, f"{len(texts):,} texts", wrong, 0)


def compare_tensors(what: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> Comparison:
    """Compare tensors by name, bit for bit."""
    names = ours.keys() | theirs.keys()
    wrong = sum(
        name not in ours or name not in theirs or not torch.equal(ours[name], theirs[name])
        for name in names
    )
    return Comparison(what, f"{len(names):,} tensors", wrong, 0)
