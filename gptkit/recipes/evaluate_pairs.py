"""gptkit eval of a run that learned from pairs: how far it prefers the chosen answers of a split."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from gptkit.data.dataset import Dataset
from gptkit.errors import ConfigError
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run
from gptkit.recipes.train.batches import check_objective, scored_batches
from gptkit.recipes.train.reference import Reference
from gptkit.runtime.runtime import Runtime
from gptkit.training.objective_config import DPOConfig
from gptkit.training.preference import evaluate_pairs


@dataclass(frozen=True)
class PairExamination:
    """What an evaluation on pairs found."""

    loss: float
    """Nats per pair; ln 2 for the model that training began with."""
    accuracy: float
    """Share of pairs whose chosen answer gained more likelihood than the rejected one."""
    reward_margin: float
    """beta times how much more, in nats."""
    pairs: int
    split: str
    selected_on: bool
    """Whether the checkpoint was chosen by this split, whose figures are a little too good then."""
    step: int
    run: str


def run_on_pairs(loaded: Run, dataset: Dataset, split: str, *, as_json: bool) -> None:
    """Print how far a run prefers the chosen answers of a split.

    Raises: ConfigError, DataError, CheckpointError.
    """
    found = examine_pairs(loaded, dataset, split)
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
        return
    note = "  (selected on: the checkpoint was chosen by this split)" if found.selected_on else ""
    lines = [
        f"loss               {found.loss:.4f}",
        f"accuracy           {found.accuracy:.4f}",
        f"reward_margin      {found.reward_margin:.4f}",
        f"pairs              {found.pairs:,}",
        f"split              {found.split}{note}",
        f"step               {found.step:,}",
        f"run                {found.run}",
    ]
    print("\n".join(lines))


def examine_pairs(loaded: Run, dataset: Dataset, split: str) -> PairExamination:
    """Score every pair of a split.

    Raises: ConfigError, DataError; CheckpointError where the model that training began with is gone.
    """
    objective = loaded.config.objective
    check_objective(objective, dataset)
    if not isinstance(objective, DPOConfig):
        raise ConfigError(f"{loaded.run_dir}: did not learn from pairs")
    runtime = Runtime(device=next(loaded.model.parameters()).device)
    reference = Reference.of_checkpoint(loaded.config, dataset, runtime, loaded.checkpoint, say)
    windows = scored_batches(loaded.config, dataset, split, reference.margins)
    found = evaluate_pairs(loaded.model, windows, runtime, objective.beta)
    assert found is not None and found.reward_margin is not None
    return PairExamination(
        loss=found.loss,
        accuracy=found.accuracy,
        reward_margin=found.reward_margin,
        pairs=found.tokens,
        split=split,
        selected_on=split == "val",
        step=loaded.step,
        run=str(loaded.run_dir),
    )
