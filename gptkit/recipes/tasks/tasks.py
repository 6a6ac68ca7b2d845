"""gptkit eval --tasks: how a trained model does on tasks of lm-evaluation-harness."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from gptkit.errors import ConfigError
from gptkit.recipes.journal import say
from gptkit.recipes.load import load_run
from gptkit.recipes.tasks.answers import Answers
from gptkit.recipes.tasks.harness import Figure, ask


def run(
    path: Path | None,
    *,
    tasks: str,
    folder: Path | None,
    as_json: bool,
    checkpoint: str | None,
    allow_plugins: bool,
) -> None:
    """Print the metrics of tasks; computed in float32.

    tasks: names, with commas between; folder: of the user's own task files.

    Raises: ConfigError, CheckpointError, PromptError for a question that the tokenizer has no tokens for.
    """
    names = [name for name in (part.strip() for part in tasks.split(",")) if name]
    if not names:
        raise ConfigError("--tasks: names no task")
    loaded = load_run(
        path, checkpoint=checkpoint, dtype="float32", allow_plugins=allow_plugins, say=say
    )
    say(f"{loaded.run_dir}, step {loaded.step}")
    found = ask(Answers(loaded, note=say), names, folder)
    if not as_json:
        print("\n".join(_lines(found)))
        return
    facts = {
        "tasks": [asdict(figure) for figure in found],
        "harness": version("lm_eval"),
        "step": loaded.step,
        "run": str(loaded.run_dir),
    }
    print(json.dumps(facts, ensure_ascii=False))


def _lines(found: Sequence[Figure]) -> list[str]:
    width = max([len("task"), *(len(figure.task) for figure in found)])
    names = [_name(figure) for figure in found]
    wide = max([len("metric"), *map(len, names)])
    lines = [f"{'task':<{width}}  {'metric':<{wide}} {'value':>10} {'stderr':>9}  questions  shots"]
    for name, figure in zip(names, found, strict=True):
        stderr = "" if figure.stderr is None else f"{figure.stderr:.4f}"
        lines.append(
            f"{figure.task:<{width}}  {name:<{wide}} {figure.value:>10.4f} {stderr:>9}"
            f"  {_or_nothing(figure.questions):>9}  {_or_nothing(figure.shots):>5}"
        )
    return lines


def _name(figure: Figure) -> str:
    return figure.metric if figure.filter == "none" else f"{figure.metric} ({figure.filter})"


def _or_nothing(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
