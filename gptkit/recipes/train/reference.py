"""What the reference model of preference tuning says of each pair: found once, then read from a file beside the data.

The reference is the model that the run began with, so no second one is trained or kept: before the first step it is
the run's own model, and later it is made again where the file is gone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gptkit.atomic import write_chunks
from gptkit.checkpoint.store import load_state
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.data.manifest import json_sha256
from gptkit.data.packing import EvaluationConversations
from gptkit.errors import CheckpointError
from gptkit.model import GPT
from gptkit.model.lora import updates_of
from gptkit.recipes.train.model import start_model
from gptkit.runtime.runtime import Runtime
from gptkit.training.preference import pair_log_probs

REFERENCE_KEY = "reference_sha256"
"""In state.json: the sha256 of the weights that preference tuning began with."""
# What changes no log-probability of a model in eval mode.
_OF_TRAINING = {"depth", "dropout", "init", "init_from", "activation_checkpointing", "preset"}


@dataclass(frozen=True)
class Reference:
    """The model that a run of preference tuning began with."""

    sha256: str
    """Of its weights."""
    model: Callable[[], GPT]
    """Returns it, on the runtime's device."""
    config: RunConfig
    dataset: Dataset
    runtime: Runtime
    say: Callable[[str], None]

    @classmethod
    def of_new_run(
        cls,
        config: RunConfig,
        dataset: Dataset,
        runtime: Runtime,
        model: GPT,
        say: Callable[[str], None],
    ) -> Reference:
        """Return the reference of a run whose model, still without a step, is `model`."""
        return cls(model_sha256(model), lambda: model, config, dataset, runtime, say)

    @classmethod
    def of_checkpoint(
        cls,
        config: RunConfig,
        dataset: Dataset,
        runtime: Runtime,
        checkpoint: Path,
        say: Callable[[str], None],
    ) -> Reference:
        """Return the reference of a run that has a checkpoint.

        Raises: CheckpointError, where that does not name it.
        """
        sha256 = load_state(checkpoint).get(REFERENCE_KEY)
        if not isinstance(sha256, str):
            raise CheckpointError(f"{checkpoint}: does not say what it began with")

        def again() -> GPT:
            model = start_model(config, dataset, None).model.to(runtime.device)
            if model_sha256(model) != sha256:
                raise CheckpointError(
                    f"'{config.model.init_from}' no longer holds the weights that this run began with"
                    f" (sha256 {sha256[:12]}...), and what they said of the pairs is not in"
                    f" '{dataset.folder}' any more: bring one of the two back"
                )
            return model

        return cls(sha256, again, config, dataset, runtime, say)

    def margins(self, split: str) -> NDArray[np.float64]:
        """Return ln P(chosen) - ln P(rejected) of each pair of a split: (pairs,), NaN where one is left out.

        Raises: DataError where the split has nothing to compare; CheckpointError where the reference
        is needed and gone.
        """
        log_probs = self._log_probs(split)
        difference: NDArray[np.float64] = log_probs[:, 0] - log_probs[:, 1]
        return difference

    def _log_probs(self, split: str) -> NDArray[np.float64]:
        """Return ln P of the chosen and the rejected answer: (pairs, 2)."""
        tokens, length = self.dataset.split(split), self.config.model.context_length
        shape = (len(tokens.document_starts) // 2, 2)
        path = self.dataset.folder / f"reference-{split}-{self._key()}.npy"
        found = self._read(path, shape)
        if found is None:
            self.say(
                f"scoring  {shape[0]:,} pairs of {split} by the model that training begins with"
            )
            # Neither the precision nor the number of ranks shows in the file.
            exact = self.runtime.config.model_copy(update={"dtype": "float32"})
            runtime = replace(self.runtime, config=exact)
            nothing = np.zeros(shape[0])
            windows = EvaluationConversations(tokens, tokens.targets(), length, margins=nothing)
            found = np.full(shape, np.nan)
            found[windows.packing.order] = pair_log_probs(self.model(), windows, runtime)
            if self.runtime.is_main:
                _write(path, found)
        return found

    def _read(self, path: Path, shape: tuple[int, int]) -> NDArray[np.float64] | None:
        """Return what rank 0 finds in the file, on every rank."""
        found = _load(path, shape) if self.runtime.is_main else None
        if not self.runtime.any_rank(found is not None):
            return None
        own = torch.zeros(shape, dtype=torch.float64) if found is None else torch.from_numpy(found)
        shared: NDArray[np.float64] = self.runtime.sum_over_ranks(own).numpy()
        return shared

    def _key(self) -> str:
        """Return the hash of all that decides the numbers."""
        shape = self.config.model.model_dump(mode="json", exclude=_OF_TRAINING)
        facts = {"weights": self.sha256, "model": shape, "data": self.dataset.identity}
        return json_sha256(facts)[:24]


def model_sha256(model: nn.Module) -> str:
    """Return the hash of the weights of a model, without the updates of an adapter."""
    weights = model.state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights.keys() - updates_of(weights).keys()):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _load(path: Path, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    with suppress(OSError, ValueError, EOFError):
        found = np.load(path, allow_pickle=False)
        if found.shape == shape and found.dtype == np.float64:
            return found  # type: ignore[no-any-return]
    return None


def _write(path: Path, log_probs: NDArray[np.float64]) -> None:
    """Keep the numbers; a folder that may only be read is no problem: they are found again."""
    buffer = io.BytesIO()
    np.save(buffer, log_probs, allow_pickle=False)
    with suppress(OSError):
        write_chunks(path, [buffer.getvalue()])
