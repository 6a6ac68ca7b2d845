"""gptkit eval: what a trained model knows about a text, beside what simple means know about it.

`examine` finds it, as data for any page; `run` prints it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.batches import EvaluationWindows
from gptkit.data.dataset import Dataset
from gptkit.data.encoding import encode_file
from gptkit.data.packing import EvaluationConversations
from gptkit.data.prepare import prepare_dataset
from gptkit.data.shards import Tokens
from gptkit.errors import CheckpointError, ConfigError
from gptkit.insight.baselines import Baseline, all_tokens, baselines
from gptkit.insight.reading import (
    AtPosition,
    Confidence,
    Passage,
    bits_per_byte,
    by_position,
    calibration,
    calibration_error,
    passages,
    top_accuracy,
)
from gptkit.insight.scores import TokenScores, score_tokens
from gptkit.recipes.evaluate_pairs import run_on_pairs
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.load import Run, load_run
from gptkit.recipes.train.resume import check_data_identity
from gptkit.runtime.runtime import Runtime
from gptkit.training.objective_config import DPOConfig

_SPLITS = ("val", "test", "train")
_PASSAGES = 5
_EXCERPT_TOKENS = 40
_EXCERPT_CHARACTERS = 60


@dataclass(frozen=True)
class Examination:
    """Everything that an evaluation found."""

    loss: float
    """Nats per token."""
    perplexity: float
    bits_per_byte: float | None
    """Comparable between tokenizers; None where the tokens stand for no bytes."""
    accuracy: float
    top5_accuracy: float
    tokens: int
    bytes: int
    split: str
    """Of the run's data, or the path of the text."""
    selected_on: bool
    """Whether the checkpoint was chosen by this split, whose figures are a little too good then."""
    step: int
    run: str
    calibration_error: float
    baselines: tuple[Baseline, ...]
    by_position: tuple[AtPosition, ...]
    calibration: tuple[Confidence, ...]
    worst: tuple[tuple[Passage, str], ...]
    """The documents, or stretches, with the highest loss, and how each begins."""
    best: tuple[tuple[Passage, str], ...]


def run(
    path: Path | None,
    *,
    split: str,
    data: Path | None,
    stride: int | None,
    as_json: bool,
    checkpoint: str | None,
    allow_plugins: bool,
) -> None:
    """Print loss, perplexity, bits per byte and accuracy, computed in float32, beside baselines.

    Raises: ConfigError, DataError, CheckpointError.
    """
    if split not in _SPLITS:
        raise ConfigError(f"--split {split}: must be {', '.join(_SPLITS)}")
    # bfloat16 would be faster, and show in the fourth digit.
    loaded = load_run(
        path, checkpoint=checkpoint, dtype="float32", allow_plugins=allow_plugins, say=say
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    if data is None and isinstance(loaded.config.objective, DPOConfig):
        run_on_pairs(loaded, _dataset(loaded), split, as_json=as_json)
        return
    found = examine(loaded, split=split, data=data, stride=stride, note=say)
    if as_json:
        print(json.dumps(_figures(found), ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))


def examine(
    loaded: Run,
    *,
    split: str = "val",
    data: Path | None = None,
    stride: int | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Examination:
    """Score a split of the run's own data, or another text, and put it beside the baselines.

    note: is told what had to be left out.

    Raises: ConfigError, DataError, CheckpointError.
    """
    context_length = loaded.config.model.context_length
    if stride is not None and stride > context_length:
        raise ConfigError(
            f"--stride {stride}: must be at most the model's context, {context_length} tokens"
        )
    dataset = None if data is not None else _dataset(loaded)
    if dataset is not None and dataset.is_chat:
        return _examine_answers(loaded, dataset, split)
    tokens, train = _texts(loaded, dataset, split, data, note)
    masked = loaded.config.data.documents == "mask"
    windows = EvaluationWindows(tokens, context_length, stride, documents=masked)
    scores = score_tokens(loaded.model, windows, _runtime(loaded))
    ids = all_tokens(tokens)
    ranked = passages(scores, tokens.document_starts, context_length)
    shown = [(passage, _excerpt(loaded, ids, passage)) for passage in _ends(ranked)]
    return replace(
        _summary(loaded, scores, ids[1:], split if data is None else str(data)),
        selected_on=split == "val" and data is None,
        baselines=baselines(train, tokens, loaded.tokenizer, note=note),
        worst=tuple(shown[: min(_PASSAGES, len(ranked))]),
        best=tuple(reversed(shown[-min(_PASSAGES, len(ranked)) :])),
    )


def _examine_answers(loaded: Run, dataset: Dataset, split: str) -> Examination:
    """Score what the assistant says; a baseline that knows no speakers would be of something else."""
    tokens = dataset.split(split)
    windows = EvaluationConversations(tokens, tokens.targets(), loaded.config.model.context_length)
    scores = score_tokens(loaded.model, windows, _runtime(loaded))
    return replace(_summary(loaded, scores, windows.scored(), split), selected_on=split == "val")


def _summary(
    loaded: Run, scores: TokenScores, targets: NDArray[np.int64], split: str
) -> Examination:
    """Return what the scores of these (N,) targets say by themselves."""
    token_bytes = loaded.tokenizer.token_bytes()[targets]
    bins = calibration(scores)
    loss = float(scores.nats.mean())
    return Examination(
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
        bits_per_byte=bits_per_byte(scores.nats, token_bytes),
        accuracy=top_accuracy(scores, 1),
        top5_accuracy=top_accuracy(scores, 5),
        tokens=len(scores.nats),
        bytes=int(token_bytes.sum()),
        split=split,
        selected_on=False,
        step=loaded.step,
        run=str(loaded.run_dir),
        calibration_error=calibration_error(bins),
        baselines=(),
        by_position=by_position(scores),
        calibration=bins,
        worst=(),
        best=(),
    )


def _runtime(loaded: Run) -> Runtime:
    return Runtime(device=next(loaded.model.parameters()).device)


def _ends(ranked: tuple[Passage, ...]) -> tuple[Passage, ...]:
    few = min(_PASSAGES, len(ranked))
    return ranked[:few] + ranked[len(ranked) - few :]


def _texts(
    loaded: Run,
    dataset: Dataset | None,
    split: str,
    data: Path | None,
    note: Callable[[str], None],
) -> tuple[Tokens, Tokens | None]:
    """Return the tokens to score, and the training split where it can be had."""
    if dataset is not None:
        return dataset.split(split), dataset.split("train")
    tokens = encode_file(
        str(data),
        loaded.tokenizer,
        on_bad_utf8=loaded.config.data.on_bad_utf8,
        progress=TerminalProgress(),
    )
    if len(tokens) < 2:
        raise ConfigError(f"{data}: {len(tokens)} tokens are too few: the first is not scored")
    try:
        return tokens, _dataset(loaded).split("train")
    except (ConfigError, CheckpointError) as error:
        note(f"n-grams are left out: the training text is not here ({error})")
        return tokens, None


def _dataset(loaded: Run) -> Dataset:
    dataset = prepare_dataset(loaded.config.data, progress=TerminalProgress())
    check_data_identity(dataset.identity, loaded.checkpoint)
    return dataset


def _excerpt(loaded: Run, ids: np.ndarray, passage: Passage) -> str:
    stretch = ids[passage.start : passage.start + min(passage.tokens, _EXCERPT_TOKENS)]
    stands_for = loaded.tokenizer.token_bytes()[stretch]
    text = loaded.tokenizer.decode(stretch[stands_for > 0])  # without end-of-text
    # A stretch may begin and end within a character.
    line = " ".join(text.strip("\ufffd").split())[:_EXCERPT_CHARACTERS]
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _figures(found: Examination) -> dict[str, Any]:
    figures = asdict(found)
    for key in ("worst", "best"):
        figures[key] = [{**passage, "text": text} for passage, text in figures[key]]
    return figures


def _lines(found: Examination) -> list[str]:
    note = "  (selected on: the checkpoint was chosen by this split)" if found.selected_on else ""
    bits = "" if found.bits_per_byte is None else f"{found.bits_per_byte:.4f}"
    lines = [
        f"loss               {found.loss:.4f}",
        f"perplexity         {found.perplexity:.4f}",
        f"bits_per_byte      {bits}",
        f"accuracy           {found.accuracy:.4f}",
        f"top5_accuracy      {found.top5_accuracy:.4f}",
        f"calibration_error  {found.calibration_error:.4f}",
        f"tokens             {found.tokens:,}",
        f"bytes              {found.bytes:,}",
        f"split              {found.split}{note}",
        f"step               {found.step:,}",
        f"run                {found.run}",
        "",
        f"{'beside':<12} {'nats/token':>10} {'bits/byte':>10}",
    ]
    rows = [*found.baselines, Baseline("this model", found.loss, found.bits_per_byte)]
    for row in sorted(rows, key=lambda row: -row.loss):
        in_bits = "" if row.bits_per_byte is None else f"{row.bits_per_byte:.4f}"
        lines.append(f"{row.name:<12} {row.loss:>10.4f} {in_bits:>10}")
    lines += ["", f"{'tokens seen':<12} {'nats/token':>10} {'tokens':>10}"]
    for part in found.by_position:
        seen = f"{part.first}-{part.last}" if part.last > part.first else f"{part.first}"
        lines.append(f"{seen:<12} {part.loss:>10.4f} {part.tokens:>10,}")
    lines += ["", f"{'confidence':<12} {'accuracy':>10} {'tokens':>10}"]
    lines += [
        f"{bin.confidence:<12.3f} {bin.accuracy:>10.3f} {bin.tokens:>10,}"
        for bin in found.calibration
    ]
    for title, chosen in (("worst", found.worst), ("best", found.best)):
        lines += ["", f"{title:<12} {'nats/token':>10}"]
        lines += [
            f"{'at ' + format(part.start, ','):<12} {part.loss:>10.4f}  {text}"
            for part, text in chosen
        ]
    return lines
