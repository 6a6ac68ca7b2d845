"""What is known of a run before it is begun."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gptkit.insight.footprint import Footprint

_SCRATCH = 1.15
"""A CPU's step takes so many times what its tensors do: scratch space of kernels, holes in the heap."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one device; a CPU's hold the process too."""

    run: Footprint
    process: int
    """Python, torch and the text before the first step."""
    device: int | None
    """What there is; None: nothing tells."""
    measured: int | None = None
    """The process and what the steps that were tried added to it; None: the figures are arithmetic."""

    @property
    def total(self) -> int:
        """What the run takes at its peak."""
        if self.measured is not None:
            return self.measured
        return self.process + round(_SCRATCH * self.run.peak)

    def rows_that_fit(self, rows: int, share: float) -> int | None:
        """Return the largest power of two of sequences at once that leaves memory free; None: none does."""
        assert self.device is not None
        fixed = self.process + self.run.checkpoint + self.run.weights + self.run.gradients
        fixed += self.run.optimizer
        per_row = (self.run.activations + self.run.logits) / rows
        fitting = (share * self.device - fixed) / per_row
        return 2 ** int(math.log2(min(fitting, rows - 1))) if fitting >= 1 and rows > 1 else None


@dataclass(frozen=True)
class LossBand:
    """Where the validation loss will probably end, in nats per token."""

    low: float
    high: float
    ngram: float
    """The best n-gram model of the same text, which the band is derived from."""


@dataclass(frozen=True)
class Plan:
    """What a run will be."""

    parameters: dict[str, int]
    flops_per_token: int
    memory: Memory
    vocab_size: int
    train_tokens: int
    val_tokens: int
    tokens_per_step: int
    steps: int | None
    """None where only time ends the run and none was measured."""
    epochs: float | None
    step_seconds: float | None
    """None where the run was not tried."""
    evaluation_seconds: float | None
    """All evaluations and samples of the run."""
    seconds: float | None
    """From the first step to the end."""
    tokens_per_second: float | None
    mfu: float | None
    loss: LossBand | None
    reasons: tuple[str, ...]
    """What `auto` chose, and why."""
    export: str
    """The class that others load it by, such as Qwen3ForCausalLM; empty where none holds it."""
    export_problem: str
    """Why none does; empty where one does."""
    chosen: tuple[str, ...] = ()
    """What the dial chose, and why."""
    warnings: tuple[str, ...] = field(default=())

    @property
    def total_parameters(self) -> int:
        """All trained numbers."""
        return sum(self.parameters.values())

    @property
    def tokens(self) -> int | None:
        """What the run learns from, repetitions counted."""
        return None if self.steps is None else self.steps * self.tokens_per_step
