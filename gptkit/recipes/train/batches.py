"""Which batches a run learns from, and which it is scored on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gptkit.config import RunConfig
from gptkit.data.batches import EvaluationWindows, TrainingBatches, TrainingWindows
from gptkit.data.dataset import Dataset
from gptkit.data.packing import EvaluationConversations, Packing, TrainingConversations
from gptkit.errors import ConfigError
from gptkit.runtime.runtime import Runtime
from gptkit.section import Section
from gptkit.training.evaluate import Evaluation, Windows, evaluate
from gptkit.training.objective_config import DPOConfig
from gptkit.training.preference import evaluate_pairs

ScoredBatches = EvaluationWindows | EvaluationConversations
Margins = Callable[[str], NDArray[np.float64]]
"""Returns, of a split's pairs, what the reference model prefers: (pairs,), as in `PairBatch`."""


@dataclass(frozen=True)
class RunBatches:
    """The batches of a run."""

    training: TrainingBatches
    validation: ScoredBatches | None
    """None where nothing was held out."""
    notes: tuple[str, ...] = ()
    """What does not fit into the context, in words."""


def run_batches(config: RunConfig, dataset: Dataset, margins: Margins | None = None) -> RunBatches:
    """Return windows of text, or packed conversations where the data are some.

    margins: of pairs; None: the data are none.

    Raises: DataError where a split has nothing to learn.
    """
    micro_batch_size = config.training.micro_batch_size
    assert micro_batch_size is not None
    context_length, seed = config.model.context_length, config.training.seed
    held_out = config.data.val_fraction > 0
    validation = scored_batches(config, dataset, "val", margins) if held_out else None
    tokens = dataset.split("train")
    if not dataset.is_chat:
        masked = config.data.documents == "mask"
        windows = TrainingWindows(
            tokens, micro_batch_size, context_length, seed=seed, documents=masked
        )
        return RunBatches(windows, validation)
    conversations = TrainingConversations(
        tokens,
        tokens.targets(),
        micro_batch_size,
        context_length,
        seed=seed,
        margins=None if margins is None else margins("train"),
    )
    notes = [_packing_words("train", conversations.packing, context_length)]
    if isinstance(validation, EvaluationConversations):
        notes.append(_packing_words("val", validation.packing, context_length))
    return RunBatches(conversations, validation, tuple(note for note in notes if note))


def scored_batches(
    config: RunConfig, dataset: Dataset, split: str, margins: Margins | None = None
) -> ScoredBatches:
    """Return the batches that score every target, or pair, of a split once.

    Raises: DataError where there are none.
    """
    tokens, context_length = dataset.split(split), config.model.context_length
    if dataset.is_chat:
        preferred = None if margins is None else margins(split)
        return EvaluationConversations(tokens, tokens.targets(), context_length, margins=preferred)
    masked = config.data.documents == "mask"
    return EvaluationWindows(tokens, context_length, documents=masked)


def check_objective(objective: Section, dataset: Dataset) -> None:
    """Make sure that the objective can learn from the data.

    Raises: ConfigError.
    """
    if isinstance(objective, DPOConfig) != dataset.are_pairs:
        what = "are pairs of answers" if dataset.are_pairs else "are no pairs of answers"
        raise ConfigError(
            f"objective: {objective.model_dump()['name']}, but the data in '{dataset.folder}' {what}"
        )


def score(
    objective: Section,
    model: nn.Module,
    windows: Windows,
    runtime: Runtime,
    token_bytes: np.ndarray | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation | None:
    """Return the figures of a split by the objective of its run; the rest as in `evaluate`."""
    if isinstance(objective, DPOConfig):
        return evaluate_pairs(model, windows, runtime, objective.beta, should_stop)
    return evaluate(model, windows, runtime, token_bytes, should_stop)


def _packing_words(split: str, packing: Packing, context_length: int) -> str:
    parts = []
    if packing.num_cut:
        parts.append(f"{packing.num_cut:,} are longer than {context_length} tokens and cut there")
    if packing.num_left_out:
        parts.append(f"{packing.num_left_out:,} have no answer before that and are left out")
    return f"{split}: of {packing.num_items:,} {packing.items} " + ", ".join(parts) if parts else ""
