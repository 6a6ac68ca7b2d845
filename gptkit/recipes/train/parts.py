"""The living parts of a run, fresh or as a checkpoint left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from gptkit.checkpoint import step_name, verify
from gptkit.checkpoint.store import TOKENIZER_NAME, load_optimizer, load_state, load_weights
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.errors import CheckpointError, ConfigError
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.model import GPT
from gptkit.model.ladder import MODELS
from gptkit.recipes.train.batches import RunBatches, run_batches
from gptkit.recipes.train.inherit import shape_differences
from gptkit.recipes.train.resume import Resumed
from gptkit.recipes.trust import fill
from gptkit.runs import resolve
from gptkit.runtime.runtime import Runtime
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.bpe import BPETokenizer
from gptkit.tokenizers.store import load_tokenizer, tokenizer_sha256
from gptkit.training.limits import Limits
from gptkit.training.optimizer_config import OPTIMIZERS
from gptkit.training.optimizer_state import load_optimizer_state
from gptkit.training.progress import Progress
from gptkit.training.snapshot import Snapshot, TrainingState


@dataclass(frozen=True)
class Parts:
    """What the loop works with."""

    model: GPT
    state: TrainingState
    """The model again, with its optimizer."""
    progress: Progress
    good: Snapshot | None
    """The last milestone's state, where a run that may roll back is resumed behind one."""
    batches: RunBatches
    limits: Limits
    elapsed_before: float
    """Seconds of the run's earlier starts."""


def build_parts(
    config: RunConfig, dataset: Dataset, runtime: Runtime, resumed: Resumed | None
) -> Parts:
    """Return the parts of a run on the runtime's device.

    Raises: ConfigError when `model.init_from` does not fit; CheckpointError when the resumed state does not.
    """
    model: GPT = MODELS.build(config.model, dataset.tokenizer.vocab_size)
    if resumed is not None:
        fill(model, resumed.checkpoint)
    elif config.model.init_from is not None:
        _init_from(Path(config.model.init_from), model, dataset)
    else:
        model.init_weights(config.training.seed)
    model.to(runtime.device)
    optimizer: Optimizer = OPTIMIZERS.build(config.optimizer, model)
    progress = Progress()
    if resumed is not None:
        kept = load_optimizer(resumed.checkpoint)
        load_optimizer_state(optimizer, model, kept.tensors, kept.scalars, runtime.scaler)
        progress = Progress.from_json(resumed.state["progress"])
    batches = run_batches(config, dataset)
    context_length = config.model.context_length
    num_windows = batches.training.num_windows
    limits = Limits.of(config.training, context_length=context_length, num_windows=num_windows)
    elapsed_before = 0.0 if resumed is None else _elapsed_seconds(resumed, progress)
    return Parts(
        model=model,
        state=TrainingState(model, optimizer, runtime.scaler),
        progress=progress,
        good=_milestone(config, resumed, progress, model) if resumed is not None else None,
        batches=batches,
        limits=limits,
        elapsed_before=elapsed_before,
    )


def _milestone(
    config: RunConfig, resumed: Resumed, progress: Progress, model: GPT
) -> Snapshot | None:
    """Return the state that a rollback before the next milestone goes back to.

    None where the resumed checkpoint is one itself, or the run does not roll back, or that checkpoint is gone: then
    the run goes back to where it was resumed.
    """
    step = config.training.last_milestone(progress.step)
    folder = resumed.checkpoint.with_name(step_name(step))
    if config.training.on_divergence != "rollback" or step == progress.step or verify(folder):
        return None
    weights, kept = load_weights(folder), load_optimizer(folder)
    if {n: w.shape for n, w in weights.items()} != {
        n: w.shape for n, w in model.state_dict().items()
    }:
        return None
    progress = Progress.from_json(load_state(folder).get("progress"))
    return Snapshot(progress, weights, kept.tensors, kept.scalars)


def _elapsed_seconds(resumed: Resumed, progress: Progress) -> float:
    """Return the time of the run up to its checkpoint; only under a time budget is it part of the state."""
    if progress.elapsed_seconds is not None:
        return progress.elapsed_seconds
    rows = read_metrics(resumed.run_dir / METRICS_NAME)
    seconds = [
        row.get("elapsed_seconds") or 0 for row in rows if (row["step"] or 0) <= progress.step
    ]
    return float(max(seconds, default=0.0))


def _init_from(run: Path, model: GPT, dataset: Dataset) -> None:
    checkpoint = resolve(run)
    theirs = load_tokenizer(checkpoint / TOKENIZER_NAME)
    if not _same_ids(theirs, dataset.tokenizer):
        raise ConfigError(
            f"model.init_from: '{run}' has another tokenizer: its token ids mean other text; a config"
            " without data.tokenizer takes its tokenizer along"
        )
    try:
        fill(model, checkpoint, lambda weights: _with_new_rows(weights, theirs.vocab_size, model))
    except CheckpointError as error:
        differences = ", ".join(shape_differences(model.config, checkpoint))
        raise ConfigError(
            f"model.init_from: {error}; what a config leaves out is taken from there, this one says"
            f" {differences}"
        ) from error


def _same_ids(theirs: Tokenizer, ours: Tokenizer) -> bool:
    if tokenizer_sha256(theirs) == tokenizer_sha256(ours):
        return True
    return isinstance(ours, BPETokenizer) and ours.extends(theirs)


def _with_new_rows(weights: dict[str, Tensor], vocab_size: int, model: GPT) -> dict[str, Tensor]:
    """Return weights with a row for each token that is new: the mean of the rows that were there.

    So a new token begins as likely as the others are on average, and moves no hidden state far.
    """
    num_new = model.vocab_size - vocab_size
    longer = {}
    for name in ("token_embedding.weight", "lm_head.weight"):
        rows = weights.get(name)
        if num_new > 0 and rows is not None and rows.ndim == 2 and len(rows) == vocab_size:
            mean = rows.float().mean(dim=0, keepdim=True).to(rows.dtype)
            longer[name] = torch.cat([rows, mean.expand(num_new, -1)])
    return {**weights, **longer}
