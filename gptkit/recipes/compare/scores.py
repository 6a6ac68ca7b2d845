"""Runs on the same text: each one's loss, and their paired differences by stretches of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptkit.checkpoint.store import load_state
from gptkit.data.batches import EvaluationWindows
from gptkit.data.dataset import Dataset
from gptkit.data.prepare import prepare_dataset
from gptkit.errors import ConfigError, DataError
from gptkit.insight.baselines import all_tokens
from gptkit.insight.intervals import Clusters, Seeds
from gptkit.insight.reading import bits_per_byte
from gptkit.insight.scores import score_tokens
from gptkit.loggers.metrics import Row
from gptkit.recipes.journal import TerminalProgress
from gptkit.recipes.load import Run
from gptkit.recipes.report.facts import find_dataset
from gptkit.recipes.train.resume import check_data_identity
from gptkit.runtime.runtime import Runtime

_FEWEST_DOCUMENTS = 20
_STRETCH_BYTES = 1024


@dataclass(frozen=True)
class Member:
    """A run that is compared."""

    name: str
    path: Path
    step: int
    seed: int
    settings: dict[str, object]
    rows: list[Row]
    identity: str
    """Of the tokens: equal ones were scored on the same."""
    text_sha256: str
    """Of the validation text, whatever the tokenizer."""
    nats: NDArray[np.float64]
    """(N,) of each scored token."""
    token_bytes: NDArray[np.int64]
    """(N,) bytes that it stands for."""
    document_starts: NDArray[np.int64]
    context_length: int

    @property
    def loss(self) -> float:
        """Nats per token."""
        return float(self.nats.mean())

    @property
    def bits_per_byte(self) -> float | None:
        return bits_per_byte(self.nats, self.token_bytes)


def score(name: str, loaded: Run) -> Member:
    """Score a run on the whole of its own validation split.

    Raises: ConfigError, DataError, CheckpointError.
    """
    dataset = _dataset(loaded)
    if dataset.is_chat:
        raise ConfigError(
            f"{loaded.run_dir}: learned answers; runs are compared on plain text: see gptkit eval"
        )
    val = dataset.split("val")
    if len(val) < 2:
        raise ConfigError(f"{loaded.run_dir}: its validation split has too few tokens")
    windows = EvaluationWindows(
        val, loaded.config.model.context_length, documents=loaded.config.data.documents == "mask"
    )
    device = next(loaded.model.parameters()).device
    ids = all_tokens(val)
    text = loaded.tokenizer.decode_bytes(ids)
    return Member(
        name=name,
        path=loaded.run_dir,
        step=loaded.step,
        seed=loaded.config.training.seed,
        settings=loaded.config.model_dump(mode="json"),
        rows=loaded.metrics,
        identity=dataset.identity,
        text_sha256=hashlib.sha256(text).hexdigest(),
        nats=score_tokens(loaded.model, windows, Runtime(device=device)).nats,
        token_bytes=loaded.tokenizer.token_bytes()[ids[1:]],
        document_starts=val.document_starts,
        context_length=loaded.config.model.context_length,
    )


@dataclass(frozen=True)
class Ruler:
    """How runs on the same text are measured against each other."""

    unit: str
    stretch: str
    """What a cluster is."""
    per_token: bool
    """Whether all have the same tokens; otherwise bytes are what they share."""

    @classmethod
    def of(cls, members: Sequence[Member]) -> Ruler | None:
        """Return the finest measure that fits all; None where they were scored on different text."""
        first = members[0]
        if all(member.identity == first.identity for member in members):
            documents = len(first.document_starts) >= _FEWEST_DOCUMENTS
            return cls("nats per token", "document" if documents else "window", per_token=True)
        if all(member.text_sha256 == first.text_sha256 for member in members):
            return cls("bits per byte", f"{_STRETCH_BYTES} bytes", per_token=False)
        return None

    def value(self, member: Member) -> float:
        """Return a run's loss in this unit."""
        return member.loss if self.per_token else (member.bits_per_byte or math.nan)

    def clusters(self, ours: Sequence[Member], theirs: Sequence[Member]) -> Clusters:
        """Return the difference of the means of two groups of runs, ours less theirs, by stretches."""
        a, b = self.seeds(ours, theirs)
        return Clusters(a.mean_sums - b.mean_sums, a.sizes)

    def seeds(self, ours: Sequence[Member], theirs: Sequence[Member]) -> tuple[Seeds, Seeds]:
        """Return the losses of two groups of runs on the same stretches."""
        members = (*ours, *theirs)
        longest = max(member.context_length for member in members)
        places, _ = self._stretches(members[0], longest)
        weights = None if self.per_token else members[0].token_bytes
        counted = np.bincount(places, weights).astype(np.float64)
        found = [np.bincount(*self._stretches(member, longest)) for member in members]
        width = max(len(counted), *map(len, found))
        sizes, *rows = [np.pad(row, (0, width - len(row))) for row in (counted, *found)]
        used = sizes > 0
        sums = np.stack(rows)[:, used]
        return Seeds(sums[: len(ours)], sizes[used]), Seeds(sums[len(ours) :], sizes[used])

    def _stretches(
        self, member: Member, longest: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return (N,) the stretch of each scored token, and what it adds to it."""
        index = np.arange(len(member.nats), dtype=np.int64)
        if not self.per_token:
            ends = np.cumsum(member.token_bytes)
            stands_for = member.token_bytes > 0
            bits = np.where(stands_for, member.nats, 0.0) / math.log(2)
            return np.maximum(ends - 1, 0) // _STRETCH_BYTES, bits
        if self.stretch == "document":
            return np.searchsorted(member.document_starts, index + 1, side="right"), member.nats
        return index // longest, member.nats


def _dataset(loaded: Run) -> Dataset:
    identity = str(load_state(loaded.checkpoint).get("data_identity"))
    dataset = find_dataset(identity, loaded.config)
    if dataset is None:
        try:
            dataset = prepare_dataset(loaded.config.data, progress=TerminalProgress())
        except DataError as error:
            raise DataError(f"{loaded.run_dir}: its text is not here: {error}") from None
        check_data_identity(dataset.identity, loaded.checkpoint)
    return dataset
