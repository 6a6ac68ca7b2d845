"""What goes into a checkpoint and comes out: tensors as safetensors, everything else as text.

    model.safetensors      weights by parameter name, tied ones once
    optimizer.safetensors  optimizer state, by names of the caller's
    state.json             progress, what a resumed run must know, the optimizer's scalars, versions
    config.yaml, tokenizer.json, plugins/*.py

Nothing here is pickled, and nothing says when, where or by whom it was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gptkit import __version__
from gptkit.checkpoint.folder import SaveError, commit, remove_strays, require_space
from gptkit.errors import CheckpointError, DivergenceError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import save_tokenizer, tokenizer_sha256

WEIGHTS_NAME = "model.safetensors"
OPTIMIZER_NAME = "optimizer.safetensors"
STATE_NAME = "state.json"
CONFIG_NAME = "config.yaml"
TOKENIZER_NAME = "tokenizer.json"
PLUGINS_NAME = "plugins"

_MAX_HEADER_BYTES = 16 << 20
_MAX_TEXT_BYTES = 16 << 20
_ROOM_FOR_TEXT = 32 << 20


@dataclass(frozen=True)
class OptimizerState:
    """The state of an optimizer: tensors by name, and the rest as JSON values."""

    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Any]


@dataclass(frozen=True)
class Contents:
    """Everything a checkpoint holds."""

    config: str
    """The resolved config, as YAML."""
    tokenizer: Tokenizer
    weights: Mapping[str, Tensor]
    """As in model.state_dict(); on any device."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: progress, fingerprint of the data, world size; no time, path or host."""
    optimizer: OptimizerState | None = None
    """None for a model that was not trained here."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """The user's plugin files: name, source."""


def save(run_dir: Path, step: int, contents: Contents) -> Path:
    """Write the checkpoint of `step` and return its folder; the caller holds the run's lock.

    Raises: DivergenceError when a weight is not finite, before anything is written; SaveError when
    the disk does not take it. Checkpoints that were there stay as they are.
    """
    optimizer = contents.optimizer or OptimizerState({}, {})
    _refuse_non_finite(contents.weights, "weight", allow_infinite=False)
    # An infinite moment makes a step of 0; a NaN spreads at the next step.
    _refuse_non_finite(optimizer.tensors, "optimizer state", allow_infinite=True)
    tensors = (*contents.weights.values(), *optimizer.tensors.values())
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    remove_strays(run_dir)
    require_space(run_dir, num_bytes + min(num_bytes, _ROOM_FOR_TEXT))
    return commit(run_dir, step, lambda folder: _fill(folder, contents))


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a verified checkpoint folder by name, on the CPU.

    Raises: CheckpointError.
    """
    return _tensors(folder / WEIGHTS_NAME)


def load_optimizer(folder: Path) -> OptimizerState:
    """Return the optimizer's state of a verified checkpoint folder, on the CPU.

    Raises: CheckpointError, also when the checkpoint holds none.
    """
    if not (folder / OPTIMIZER_NAME).is_file():
        raise CheckpointError(f"{folder}: holds no {OPTIMIZER_NAME}: training cannot go on from it")
    return OptimizerState(_tensors(folder / OPTIMIZER_NAME), load_state(folder)["optimizer"])


def load_state(folder: Path) -> dict[str, Any]:
    """Return what `Contents.state` held, with tokenizer_sha256, versions and optimizer beside it.

    Raises: CheckpointError.
    """
    path = folder / STATE_NAME
    try:
        state = json.loads(_text(path), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from None
    if not isinstance(state, dict) or not isinstance(state.get("optimizer"), dict):
        raise CheckpointError(f"{path}: not the state of a run")
    return state


def load_config_text(folder: Path) -> str:
    """Return the resolved config, as YAML.

    Raises: CheckpointError.
    """
    return _text(folder / CONFIG_NAME)


def plugin_files(folder: Path) -> list[Path]:
    """Return the plugin files in the checkpoint, to be run only when the user allows it."""
    return sorted((folder / PLUGINS_NAME).glob("*"))


def _fill(folder: Path, contents: Contents) -> None:
    optimizer = contents.optimizer
    try:
        save_file(_on_cpu(contents.weights), folder / WEIGHTS_NAME, {"format": "pt"})
        if optimizer is not None:
            save_file(_on_cpu(optimizer.tensors), folder / OPTIMIZER_NAME, {"format": "pt"})
    except SafetensorError as error:  # a full disk comes as one, without errno
        raise SaveError(f"cannot save in {folder.parent}: {error}") from error
    state = {
        **contents.state,
        "optimizer": dict(optimizer.scalars) if optimizer is not None else {},
        "tokenizer_sha256": tokenizer_sha256(contents.tokenizer),
        "versions": {"gptkit": __version__, "torch": torch.__version__},
    }
    _write(folder / STATE_NAME, json.dumps(state, indent=1, allow_nan=False) + "\n")
    _write(folder / CONFIG_NAME, contents.config)
    save_tokenizer(contents.tokenizer, folder / TOKENIZER_NAME)
    if contents.plugins:
        (folder / PLUGINS_NAME).mkdir()
    for name, source in contents.plugins.items():
        _write(folder / PLUGINS_NAME / name, source)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as safetensors wants them: on the CPU, contiguous, none inside another."""
    copies: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        storage = copy.untyped_storage().data_ptr()
        copies[name] = copy.clone() if storage in storages else copy
        storages.add(storage)
    return copies


def _refuse_non_finite(tensors: Mapping[str, Tensor], what: str, *, allow_infinite: bool) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # Both ends are NaN where anything is. One pass without a copy, unlike isfinite over all.
        ends = torch.stack(torch.aminmax(tensor.detach()))
        if bool((ends.isnan() if allow_infinite else ~ends.isfinite()).any()):
            raise DivergenceError(f"{what} '{name}' is not finite: no checkpoint is written")


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            # Copies: the tensors must not hang on a file that retention may remove.
            return {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be loaded: {error}") from error


def _check_header(path: Path) -> None:
    """Refuse a header that claims more than the file, or absurdly much, before anyone reads it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
        raise ValueError(f"its header claims {size:,} bytes")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise CheckpointError(f"{path}: absurdly large")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
