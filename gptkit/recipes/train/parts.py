"""The living parts of a run, fresh or as a checkpoint left them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch.optim import Optimizer

from gptkit.checkpoint import step_name, verify
from gptkit.checkpoint.store import load_optimizer, load_state, load_weights
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.model import GPT
from gptkit.recipes.train.batches import RunBatches, check_objective, run_batches
from gptkit.recipes.train.model import start_model
from gptkit.recipes.train.reference import REFERENCE_KEY, Reference
from gptkit.recipes.train.resume import Resumed
from gptkit.recipes.weights import BASE_KEY
from gptkit.runtime.runtime import Runtime
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
    origin: Mapping[str, str]
    """What state.json holds of the weights that the run began with."""
    progress: Progress
    good: Snapshot | None
    """The last milestone's state, where a run that may roll back is resumed behind one."""
    batches: RunBatches
    limits: Limits
    elapsed_before: float
    """Seconds of the run's earlier starts."""


def build_parts(
    config: RunConfig,
    dataset: Dataset,
    runtime: Runtime,
    resumed: Resumed | None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Parts:
    """Return the parts of a run on the runtime's device; say: is told what takes long.

    Raises: ConfigError when `model.init_from` does not fit; CheckpointError when the resumed state does not.
    """
    check_objective(config.objective, dataset)
    started = start_model(config, dataset, resumed)
    model = started.model.to(runtime.device)
    origin = {} if started.base_sha256 is None else {BASE_KEY: started.base_sha256}
    margins = None
    if dataset.are_pairs:
        reference = _reference(config, dataset, runtime, resumed, model, say)
        origin[REFERENCE_KEY] = reference.sha256
        margins = reference.margins
    optimizer: Optimizer = OPTIMIZERS.build(config.optimizer, model)
    progress = Progress()
    if resumed is not None:
        kept = load_optimizer(resumed.checkpoint)
        load_optimizer_state(optimizer, model, kept.tensors, kept.scalars, runtime.scaler)
        progress = Progress.from_json(resumed.state["progress"])
    batches = run_batches(config, dataset, margins)
    windows = batches.training
    limits = Limits.of(
        config.training, context_length=windows.window_tokens, num_windows=windows.num_windows
    )
    elapsed_before = 0.0 if resumed is None else _elapsed_seconds(resumed, progress)
    state = TrainingState(model, optimizer, runtime.scaler, started.kept)
    return Parts(
        model=model,
        state=state,
        origin=origin,
        progress=progress,
        good=_milestone(config, resumed, progress, state) if resumed is not None else None,
        batches=batches,
        limits=limits,
        elapsed_before=elapsed_before,
    )


def _reference(
    config: RunConfig,
    dataset: Dataset,
    runtime: Runtime,
    resumed: Resumed | None,
    model: GPT,
    say: Callable[[str], None],
) -> Reference:
    if resumed is None:
        return Reference.of_new_run(config, dataset, runtime, model, say)
    return Reference.of_checkpoint(config, dataset, runtime, resumed.checkpoint, say)


def _milestone(
    config: RunConfig, resumed: Resumed, progress: Progress, state: TrainingState
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
    if {n: w.shape for n, w in weights.items()} != {n: w.shape for n, w in state.weights().items()}:
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
