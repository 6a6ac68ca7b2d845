"""The weights of a model that begins with another one's, and of one that is an adapter on another.

    base checkpoint ── rows for new tokens ── updates of the adapter ──> the weights of the model

A checkpoint of an adapter holds the updates and the new rows alone. What they belong to is found by
the sha256 of its weights, in the run that the config names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from gptkit.checkpoint import verify
from gptkit.checkpoint.manifest import ManifestError, read_manifest
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import (
    WEIGHTS_NAME,
    load_config_text,
    load_state,
    load_weights,
)
from gptkit.config.yaml12 import read_yaml
from gptkit.errors import CheckpointError, ConfigError
from gptkit.model.lora import merge
from gptkit.runs import resolve, run_of

BASE_KEY = "base_sha256"
"""In state.json: the sha256 of the weights that an adapter belongs to."""
_NEW_ROWS = ".new_rows"
_TABLES = ("token_embedding.weight", "lm_head.weight")


def model_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Return all weights of a verified checkpoint's model, an adapter's merged with its base's.

    Raises: CheckpointError, also where the base is not to be found.
    """
    own = load_weights(checkpoint)
    base_sha256 = load_state(checkpoint).get(BASE_KEY)
    if base_sha256 is None:
        return own
    settings = _settings(checkpoint)
    try:
        source = Path(settings["model"]["init_from"])
        scale = float(settings["adapter"]["alpha"]) / int(settings["adapter"]["rank"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise CheckpointError(f"{checkpoint}: its config does not say what it adapts") from None
    base = with_rows(model_weights(find_base(source, base_sha256)), rows_of(own))
    try:
        return merge(base, own, scale)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint}: does not fit what it adapts: {error}") from None


def find_base(run: Path, sha256: str | None) -> Path:
    """Return the checkpoint of `run` to begin with; sha256: of its weights, None: its best.

    Raises: ConfigError where there is no such run; CheckpointError where it has no such weights.
    """
    try:
        best = resolve(run)
    except (ConfigError, CheckpointError) as error:
        if sha256 is None:
            raise
        raise CheckpointError(f"the model that this one adapts is not there: {error}") from None
    if sha256 is None or weights_sha256(best) == sha256:
        return best
    folder = run_of(best)
    others = [] if folder is None else sorted(checkpoints_folder(folder).glob("step_*"))
    for other in others:
        if weights_sha256(other) == sha256 and not verify(other):
            return other
    raise CheckpointError(
        f"'{run}' no longer holds the weights that this model adapts (sha256 {sha256[:12]}...): bring them back"
    )


def weights_sha256(checkpoint: Path) -> str | None:
    """Return the sha256 of a checkpoint's file of weights, as its manifest has it."""
    try:
        return read_manifest(checkpoint).files[WEIGHTS_NAME].sha256
    except (ManifestError, KeyError):
        return None


def new_rows(weights: Mapping[str, Tensor], vocab_size: int, seed: int) -> dict[str, Tensor]:
    """Return, by table, a row for each of the ids up to `vocab_size` that the weights lack.

    They are drawn around the mean of the rows that are there, as these are spread: equal rows could
    not be told apart, and one in the middle of all others is never the likeliest token, which an
    adapter beside frozen rows could not mend.
    """
    generator = Generator().manual_seed(seed)
    rows = {}
    for name in _TABLES:
        table = weights.get(name)
        if table is not None and table.ndim == 2 and len(table) < vocab_size:
            known = table.float()
            noise = torch.randn(vocab_size - len(table), table.shape[1], generator=generator)
            drawn = known.mean(dim=0) + known.std(dim=0, correction=0) * noise
            rows[name + _NEW_ROWS] = drawn.to(table.dtype)
    return rows


def rows_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the new rows that an adapter's checkpoint holds, as `new_rows` does."""
    return {name: rows for name, rows in weights.items() if name.endswith(_NEW_ROWS)}


def with_rows(weights: Mapping[str, Tensor], rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with new rows below their tables.

    Raises: CheckpointError where they do not fit.
    """
    longer = dict(weights)
    for name, new in rows.items():
        table = name.removesuffix(_NEW_ROWS)
        try:
            longer[table] = torch.cat([weights[table], new])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"new rows do not fit '{table}': {error}") from None
    return longer


def _settings(checkpoint: Path) -> dict[str, Any]:
    values = read_yaml(load_config_text(checkpoint)).value
    return values if isinstance(values, dict) else {}
