"""lm-evaluation-harness around a trained model: its tasks, its metrics, our answers.

The harness is imported inside functions: it is an extra, and takes seconds.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from gptkit.errors import ConfigError
from gptkit.recipes.journal import say
from gptkit.recipes.tasks.answers import Answers, Request

# The harness's own, so that few-shot examples are those of everyone's figures.
_SEED, _FEW_SHOT_SEED = 0, 1234
_RESAMPLES = 1000
"""For standard errors of what is no mean."""


@dataclass(frozen=True)
class Figure:
    """One number of one task."""

    task: str
    """Or a group of tasks, of which it is the mean."""
    metric: str
    filter: str
    """How an answer was read out of the text; `none` where it was taken as it is."""
    value: float
    stderr: float | None
    """Standard error over the questions; None where the harness has none."""
    higher_is_better: bool | None
    shots: int | None
    """Examples before each question."""
    questions: int | None
    version: str


def ask(answers: Answers, names: Sequence[str], folder: Path | None) -> list[Figure]:
    """Return what the harness makes of the answers to its tasks, or to those of a folder of task files.

    Raises: ConfigError where the harness is not installed, a task is not known, or its questions cannot be had.
    """
    try:
        from lm_eval.evaluator import evaluate
    except ImportError as error:
        raise ConfigError(
            "--tasks needs lm-evaluation-harness: pip install 'gptkit[tasks]'"
        ) from error
    # Pools of processes would take longer to start than the few resamples do.
    os.environ.setdefault("DISABLE_MULTIPROC", "1")
    random.seed(_SEED)
    np.random.seed(_FEW_SHOT_SEED)
    with redirect_stdout(sys.stderr):  # the harness prints; stdout is for results
        tasks = _load(names, folder)
        for task in tasks["tasks"].values():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=_FEW_SHOT_SEED)
        found = evaluate(
            lm=_model(answers),
            task_dict=tasks,
            bootstrap_iters=_RESAMPLES,
            log_samples=False,
        )
    return list(_figures(found))


def _load(names: Sequence[str], folder: Path | None) -> dict[str, Any]:
    from lm_eval.tasks import TaskManager

    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--tasks-path {folder}: is not a folder")
    known = None
    if folder is not None:
        # The harness's own thousands of files are read only where they are needed.
        known = TaskManager(include_path=str(folder), include_defaults=False)
    if known is None or not set(names) <= set(known.all_subtasks):
        own = [] if known is None else known.all_tasks
        say("looking through lm-evaluation-harness's own tasks")
        known = TaskManager(include_path=None if folder is None else str(folder))
        if missing := [name for name in names if name not in known.task_index]:
            raise ConfigError(_unknown(missing[0], known.all_tasks, folder, own))
    try:
        loaded: dict[str, Any] = known.load(list(names))
    except Exception as error:  # what a task file asks for may fail in any way
        what = next(iter(str(error).splitlines()), "")
        raise ConfigError(
            f"--tasks {','.join(names)}: cannot be loaded: {type(error).__name__}: {what}"
        ) from error
    return loaded


def _unknown(name: str, known: Sequence[str], folder: Path | None, own: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    if folder is None:
        return f"--tasks {name}: lm-evaluation-harness has no such task{hint}"
    there = ", ".join(own) or "no task that can be read"
    return f"--tasks {name}: neither in {folder} ({there}) nor lm-evaluation-harness's own{hint}"


def _model(answers: Answers) -> Any:
    """Return the answers as a model of the harness."""
    from lm_eval.api.model import LM

    class GptkitModel(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: list[Request]) -> list[tuple[float, bool]]:
            return answers.loglikelihood(requests)

        def loglikelihood_rolling(self, requests: list[Request]) -> list[float]:
            return answers.loglikelihood_rolling(requests)

        def generate_until(self, requests: list[Request]) -> list[str]:
            return answers.generate_until(requests)

    return GptkitModel()


def _figures(found: dict[str, Any]) -> Iterator[Figure]:
    for task, results in {**found["results"], **found.get("groups", {})}.items():
        for key, value in results.items():
            metric, comma, filter_name = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = results.get(f"{metric}_stderr,{filter_name}")
            questions = found["n-samples"].get(task, {}).get("effective")
            yield Figure(
                task=task,
                metric=metric,
                filter=filter_name,
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, int | float) else None,
                higher_is_better=found["higher_is_better"].get(task, {}).get(metric),
                shots=found["n-shot"].get(task),
                questions=questions,
                version=str(found["versions"].get(task, "")),
            )
