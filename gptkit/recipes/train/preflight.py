"""A preflight before a run's first step; what has passed once, unchanged, is not asked again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path

import torch

from gptkit import __version__
from gptkit.atomic import write_text
from gptkit.config import RunConfig
from gptkit.data.dataset import Dataset
from gptkit.data.folders import data_folder
from gptkit.data.manifest import json_sha256
from gptkit.errors import ConfigError
from gptkit.recipes.train.parts import Parts

_ROOMS = ("chat", "data", "insight", "model", "training")


def check_before_training(
    config: RunConfig,
    dataset: Dataset,
    parts: Parts,
    plugins: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Ask the model of a new run what would make its training worthless; `say` what is merely odd.

    Raises: ConfigError for what must be mended first.
    """
    passed = data_folder() / "preflight" / _key(config, dataset, plugins)
    if passed.exists():
        return
    from gptkit.insight.preflight import preflight

    checks = preflight(
        parts.model,
        parts.batches.training.batch(0),
        config.optimizer,
        fresh=config.model.init_from is None,
        documents=config.data.keeps_documents_apart,
    )
    problems = [check for check in checks if check.problem]
    fatal = [check.problem for check in problems if check.fatal]
    if fatal:
        raise ConfigError(
            "preflight: " + "; ".join(fatal) + " (training.preflight: false trains it all the same)"
        )
    for check in problems:
        say(f"preflight: {check.problem}")
    if not problems:
        with suppress(OSError):
            passed.parent.mkdir(parents=True, exist_ok=True)
            write_text(passed, "")


def _key(config: RunConfig, dataset: Dataset, plugins: Mapping[str, str]) -> str:
    """Return the hash of all that an answer may depend on, our own code included."""
    settings = config.model_dump(mode="json", exclude={"run_dir", "loggers"})
    facts = {
        "settings": settings,
        "plugins": dict(plugins),
        "data": dataset.identity,
        "code": _code(),
        "versions": [__version__, torch.__version__],
    }
    return json_sha256(facts)[:32]


def _code() -> str:
    """Return the hash of the rooms that the answers come from."""
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted(Path(str(resources.files("gptkit") / room)).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
