"""All that a report is made of, read from a run's files: nothing is trained or downloaded."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from gptkit.checkpoint import saved_step, step_of
from gptkit.checkpoint.store import (
    CONFIG_NAME,
    TOKENIZER_NAME,
    load_state,
    plugin_files,
    weight_shapes,
)
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset, open_dataset
from gptkit.data.folders import prepared_folder
from gptkit.data.manifest import read_manifest
from gptkit.data.sources import TokensConfig
from gptkit.errors import GptkitError
from gptkit.loggers.metrics import METRICS_NAME, Row, read_metrics, series
from gptkit.model import GPT
from gptkit.model.ladder import MODELS
from gptkit.recipes.train.run_folder import LOG_NAME, SAMPLES_NAME
from gptkit.recipes.trust import trusted_config
from gptkit.runs import read_record, run_of
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import load_tokenizer
from gptkit.training.objective_config import DPOConfig

_MOST_SAMPLES = 12
_LONGEST_SAMPLE = 20_000


@dataclass(frozen=True)
class Sample:
    """What the model wrote at a step."""

    step: int
    text: str


@dataclass(frozen=True)
class RunFacts:
    """A run as its folder tells it."""

    name: str
    step: int
    """Of the checkpoint that the report speaks of: the best one, where nothing else was said."""
    rows: list[Row]
    """metrics.jsonl."""
    config_text: str
    config: RunConfig | None
    """None where its variants come from plugins, which are not run for a report."""
    tokenizer: Tokenizer
    num_parameters: int
    flops_per_token: int | None
    samples: list[Sample]
    """A few, from the first to the last."""
    dataset: Dataset | None
    """The tokens of the run, where they are still on this machine."""
    versions: dict[str, str]
    log: dict[str, str]
    """What the log's opening lines say: data, model, run, machine, system."""
    started: datetime | None

    @property
    def of_pairs(self) -> bool:
        """Whether its losses are those of pairs of answers."""
        return self.config is not None and isinstance(self.config.objective, DPOConfig)

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.vocab_size

    def curve(self, key: str) -> list[tuple[float, float]]:
        """Return (step, value) of a metric."""
        return series(self.rows, key)

    @property
    def at_checkpoint(self) -> Row:
        """The metrics of the checkpoint's step."""
        return next((row for row in self.rows if row["step"] == self.step), {})

    def last(self, key: str) -> float | None:
        """Return the last known value of a metric."""
        values = self.curve(key)
        return values[-1][1] if values else None


def gather(
    checkpoint: Path, dataset: Dataset | None = None, flops_per_token: int | None = None
) -> RunFacts:
    """Return the facts of the run around a verified checkpoint, or of the checkpoint where it stands alone.

    dataset, flops_per_token: where the caller has the run's tokens and its model at hand.

    Raises: CheckpointError.
    """
    run_dir = run_of(checkpoint)
    state = load_state(checkpoint)
    tokenizer = load_tokenizer(checkpoint / TOKENIZER_NAME)
    config = None
    with suppress(GptkitError):
        config = trusted_config(checkpoint, run_plugins=False)
    if dataset is None:
        dataset = find_dataset(str(state.get("data_identity")), config)
    starts = read_record(run_dir).starts if run_dir else ()
    versions = state.get("versions")
    return RunFacts(
        name=(run_dir or checkpoint).absolute().name,
        step=saved_step(checkpoint),
        rows=read_metrics(run_dir / METRICS_NAME) if run_dir else [],
        config_text=(checkpoint / CONFIG_NAME).read_text(encoding="utf-8", errors="replace"),
        config=config,
        tokenizer=tokenizer,
        num_parameters=sum(math.prod(shape) for shape in weight_shapes(checkpoint).values()),
        flops_per_token=flops_per_token
        or _flops_per_token(checkpoint, config, tokenizer.vocab_size),
        samples=_samples(run_dir / SAMPLES_NAME) if run_dir else [],
        dataset=dataset,
        versions=versions if isinstance(versions, dict) else {},
        log=_opening_lines(run_dir / LOG_NAME) if run_dir else {},
        started=datetime.fromtimestamp(starts[0] / 1e9, UTC) if starts else None,
    )


def find_dataset(identity: str, config: RunConfig | None) -> Dataset | None:
    """Return the prepared tokens that a run learned from, found by their hash; None where they are gone."""
    folders = list(prepared_folder().glob("*")) if prepared_folder().is_dir() else []
    if config is not None and isinstance(config.data.source, TokensConfig):
        folders.append(config.data.source.folder())
    for folder in folders:
        with suppress(GptkitError, OSError):
            if read_manifest(folder).identity == identity:
                return open_dataset(folder)
    return None


def _flops_per_token(checkpoint: Path, config: RunConfig | None, vocab_size: int) -> int | None:
    if config is None or plugin_files(checkpoint):
        return None
    with torch.device("meta"):  # shapes only; torch imports its compiler for it, half a second
        model: GPT = MODELS.build(config.model, vocab_size)
        return model.flops_per_token()


def _samples(folder: Path) -> list[Sample]:
    """Return a few of the samples, closer together at the beginning, where most changes."""
    found = sorted(
        (step, path)
        for path in folder.glob("step_*.txt")
        if (step := step_of(path.stem)) is not None
    )
    samples = []
    for index in _spread(len(found), _MOST_SAMPLES):
        step, path = found[index]
        with suppress(OSError):
            text = path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_SAMPLE]
            samples.append(Sample(step, text))
    return samples


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` of the indices below `count`, the first and the last among them."""
    if count <= most:
        return list(range(count))
    ratio = (count - 1) ** (1 / (most - 2))
    return sorted({0, count - 1, *(min(count - 1, round(ratio**i)) for i in range(most - 1))})


def _opening_lines(path: Path) -> dict[str, str]:
    """Return what the log of the last start says about the run, by its first word."""
    found: dict[str, str] = {}
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            word, _, rest = line.rstrip("\n").partition("  ")
            if word in ("data", "model", "run", "machine", "system"):
                found[word] = rest.strip()
    return found
