"""Which batches a run learns from, and which it is scored on."""

from __future__ import annotations

from dataclasses import dataclass

from gptkit.config import RunConfig
from gptkit.data.batches import EvaluationWindows, TrainingBatches, TrainingWindows
from gptkit.data.dataset import Dataset
from gptkit.data.packing import EvaluationConversations, Packing, TrainingConversations

ScoredBatches = EvaluationWindows | EvaluationConversations


@dataclass(frozen=True)
class RunBatches:
    """The batches of a run."""

    training: TrainingBatches
    validation: ScoredBatches | None
    """None where nothing was held out."""
    notes: tuple[str, ...] = ()
    """What does not fit into the context, in words."""


def run_batches(config: RunConfig, dataset: Dataset) -> RunBatches:
    """Return windows of text, or packed conversations where the data are some.

    Raises: DataError where a split has nothing to learn.
    """
    micro_batch_size = config.training.micro_batch_size
    assert micro_batch_size is not None
    context_length, seed = config.model.context_length, config.training.seed
    held_out = config.data.val_fraction > 0
    validation = scored_batches(config, dataset, "val") if held_out else None
    tokens = dataset.split("train")
    if not dataset.is_chat:
        masked = config.data.documents == "mask"
        windows = TrainingWindows(
            tokens, micro_batch_size, context_length, seed=seed, documents=masked
        )
        return RunBatches(windows, validation)
    conversations = TrainingConversations(
        tokens, tokens.targets(), micro_batch_size, context_length, seed=seed
    )
    notes = [_packing_words("train", conversations.packing, context_length)]
    if isinstance(validation, EvaluationConversations):
        notes.append(_packing_words("val", validation.packing, context_length))
    return RunBatches(conversations, validation, tuple(note for note in notes if note))


def scored_batches(config: RunConfig, dataset: Dataset, split: str) -> ScoredBatches:
    """Return the batches that score every target of a split once.

    Raises: DataError where there are none.
    """
    tokens, context_length = dataset.split(split), config.model.context_length
    if dataset.is_chat:
        return EvaluationConversations(tokens, tokens.targets(), context_length)
    masked = config.data.documents == "mask"
    return EvaluationWindows(tokens, context_length, documents=masked)


def _packing_words(split: str, packing: Packing, context_length: int) -> str:
    parts = []
    if packing.num_cut:
        parts.append(f"{packing.num_cut:,} are longer than {context_length} tokens and cut there")
    if packing.num_left_out:
        parts.append(f"{packing.num_left_out:,} have no answer before that and are left out")
    return (
        f"{split}: of {packing.num_conversations:,} conversations " + ", ".join(parts)
        if parts
        else ""
    )
