"""What two copies of a run have in common: every byte, or what differs first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from gptkit.checkpoint import step_name, verify
from gptkit.checkpoint.manifest import read_manifest
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import STATE_NAME
from gptkit.config import RunConfig
from gptkit.loggers.metrics import METRICS_NAME, read_metrics

_COMPARED_METRICS = ("step", "train_loss", "val_loss")


@dataclass(frozen=True)
class Comparison:
    """A file of both copies."""

    name: str
    equal: bool
    finding: str
    """What is equal, or what differs, in words."""


def compare(whole: Path, killed: Path, last_step: int) -> list[Comparison]:
    """Compare the checkpoints of the last step, file by file, and the metrics of two runs."""
    ours, theirs = (checkpoints_folder(run) / step_name(last_step) for run in (whole, killed))
    for folder in (ours, theirs):
        problems = verify(folder)
        if problems:
            return [Comparison(folder.name, False, f"not usable: {'; '.join(problems[:3])}")]
    first, second = read_manifest(ours).files, read_manifest(theirs).files
    files = [
        Comparison(name, True, f"{first[name].size:,} bytes, sha256 {first[name].sha256[:16]}...")
        if first.get(name) == second.get(name)
        else Comparison(name, False, compare_files(ours, theirs, name))
        for name in sorted({*first, *second})
    ]
    return [*files, compare_metrics(whole, killed)]


def likely_reasons(config: RunConfig, kills: int) -> str:
    """Return what usually makes runs differ, with what to do about it."""
    reasons = []
    if config.runtime.device != "cpu" and not config.runtime.deterministic:
        reasons.append("kernels that add in any order: train with runtime.deterministic=true")
    if config.runtime.compile:
        reasons.append("a compiler that chose other kernels: try runtime.compile=false")
    if config.plugins:
        reasons.append("a plugin with randomness or state that no checkpoint holds")
    text = (
        "usual reasons: " + "; ".join(reasons) if reasons else "please report it: no usual reason"
    )
    return f"{text}\n--kills 0 tells whether the run repeats at all" if kills else text


def compare_files(ours: Path, theirs: Path, name: str) -> str:
    """Return how a file of two checkpoints differs."""
    if not ((ours / name).exists() and (theirs / name).exists()):
        return "only one of the two has it"
    if name.endswith(".safetensors"):
        return _tensor_difference(ours / name, theirs / name)
    if name == STATE_NAME:
        first, second = (json.loads((folder / name).read_bytes()) for folder in (ours, theirs))
        return _first_difference(dict(_leaves(first)), dict(_leaves(second)))
    return "differs"


def _tensor_difference(ours: Path, theirs: Path) -> str:
    different: list[str] = []
    largest = 0.0
    with safe_open(ours, framework="pt") as first, safe_open(theirs, framework="pt") as second:
        names = sorted(first.keys())
        if names != sorted(second.keys()):
            return "holds other tensors"
        for name in names:
            a, b = first.get_tensor(name), second.get_tensor(name)
            if a.shape != b.shape:
                return f"{name} is of shape {tuple(a.shape)} and {tuple(b.shape)}"
            if not _same_bytes(a, b):
                different.append(name)
                largest = max(largest, float((a.double() - b.double()).abs().max()))
    if not different:
        return "equal tensors, another header"
    count = f"{len(different)} of {len(names)} tensors differ"
    return f"{count}, first {different[0]}; largest difference {largest:.3g}"


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(
        a.flatten().view(torch.uint8), b.flatten().view(torch.uint8)
    )


def _first_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    key = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
    return f"{key}: {ours.get(key)} and {theirs.get(key)}"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def compare_metrics(whole: Path, killed: Path) -> Comparison:
    ours, theirs = (
        [
            {key: row.get(key) for key in _COMPARED_METRICS}
            for row in read_metrics(run / METRICS_NAME)
        ]
        for run in (whole, killed)
    )
    steps = [[row["step"] for row in rows] for rows in (ours, theirs)]
    if steps[0] != steps[1]:
        return Comparison(METRICS_NAME, False, f"steps {steps[0]} and {steps[1]}")
    for first, second in zip(ours, theirs, strict=True):
        if first != second:
            found = _first_difference(first, second)
            return Comparison(METRICS_NAME, False, f"step {first['step']}: {found}")
    return Comparison(METRICS_NAME, True, f"{len(ours)} steps, each once: equal losses")
