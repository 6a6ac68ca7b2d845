"""What goes into a checkpoint and comes out: tensors as safetensors, everything else as text.

    model.safetensors      weights by parameter name, tied ones once
    optimizer.safetensors  optimizer state, by names of the caller's
    state.json             progress, what a resumed run must know, the optimizer's scalars, versions
    config.yaml, tokenizer.json, plugins/*.py

Nothing here is pickled, and nothing says when, where or by whom it was written.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gptkit import __version__
from gptkit.checkpoint.folder import SaveError, commit, remove_strays, require_space
from gptkit.checkpoint.names import CONFIG_NAME as CONFIG_NAME
from gptkit.checkpoint.names import TOKENIZER_NAME as TOKENIZER_NAME
from gptkit.errors import CheckpointError, DivergenceError
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import save_tokenizer, tokenizer_sha256

WEIGHTS_NAME = "model.safetensors"
OPTIMIZER_NAME = "optimizer.safetensors"
STATE_NAME = "state.json"
PLUGINS_NAME = "plugins"

# A file may come from anyone: what reading it takes must be in proportion to what it can mean.
_MAX_HEADER_BYTES = 4 << 20
_MAX_STATE_BYTES = 16 << 20
_MAX_CONFIG_BYTES = 1 << 16
_READABLE = {
    *(torch.float64, torch.float32, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}
_LARGEST = torch.finfo(torch.float32).max
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
    _refuse_to_save(contents.weights, "weight", allow_infinite=False)
    _refuse_to_save(optimizer.tensors, "optimizer state", allow_infinite=True)
    tensors = (*contents.weights.values(), *optimizer.tensors.values())
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    remove_strays(run_dir)
    require_space(run_dir, num_bytes + min(num_bytes, _ROOM_FOR_TEXT))
    return commit(run_dir, step, lambda folder: _fill(folder, contents))


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a verified checkpoint folder by name, on the CPU.

    Raises: CheckpointError.
    """
    weights = _tensors(folder / WEIGHTS_NAME)
    _refuse_loaded(folder / WEIGHTS_NAME, weights, allow_infinite=False)
    return weights


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of a verified checkpoint folder by name, without reading any.

    Raises: CheckpointError.
    """
    with _opened(folder / WEIGHTS_NAME) as file:
        names = sorted(file.keys())
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def load_optimizer(folder: Path) -> OptimizerState:
    """Return the optimizer's state of a verified checkpoint folder, on the CPU.

    Raises: CheckpointError, also when the checkpoint holds none.
    """
    if not (folder / OPTIMIZER_NAME).is_file():
        raise CheckpointError(f"{folder}: holds no {OPTIMIZER_NAME}: training cannot go on from it")
    tensors = _tensors(folder / OPTIMIZER_NAME)
    _refuse_loaded(folder / OPTIMIZER_NAME, tensors, allow_infinite=True)
    return OptimizerState(tensors, load_state(folder)["optimizer"])


def load_state(folder: Path) -> dict[str, Any]:
    """Return what `Contents.state` held, with tokenizer_sha256, versions and optimizer beside it.

    Raises: CheckpointError.
    """
    path = folder / STATE_NAME
    try:
        state = json.loads(
            _text(path, _MAX_STATE_BYTES), parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON: {str(error)[:100]}") from None
    if not isinstance(state, dict) or not isinstance(state.get("optimizer"), dict):
        raise CheckpointError(f"{path}: not the state of a run")
    return state


def load_config_text(folder: Path) -> str:
    """Return the resolved config, as YAML.

    Raises: CheckpointError.
    """
    return _text(folder / CONFIG_NAME, _MAX_CONFIG_BYTES)


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


def _refuse_to_save(tensors: Mapping[str, Tensor], what: str, *, allow_infinite: bool) -> None:
    name = _not_finite(tensors, allow_infinite=allow_infinite)
    if name is not None:
        raise DivergenceError(f"{what} '{name}' is not finite: no checkpoint is written")


def _refuse_loaded(path: Path, tensors: Mapping[str, Tensor], *, allow_infinite: bool) -> None:
    name = _not_finite(tensors, allow_infinite=allow_infinite)
    if name is not None:
        raise CheckpointError(f"{path}: '{name}' is not finite")


def _not_finite(tensors: Mapping[str, Tensor], *, allow_infinite: bool) -> str | None:
    """Return the name of a tensor that holds NaN, or an infinity unless they are allowed.

    What float32 cannot hold is infinite. An infinite moment makes a step of 0; a NaN spreads at the
    next step. There is one wait for the device that holds the tensors, however many they are.
    """
    largest = math.inf if allow_infinite else _LARGEST
    found = (name for name, ends in _ends(tensors) if not all(abs(end) <= largest for end in ends))
    return next(found, None)


def _ends(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, list[float]]]:
    """Yield the least and the greatest number of each tensor by name; NaN where any number is."""
    by_kind: dict[tuple[torch.device, torch.dtype], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            # One pass without a copy, unlike isfinite over all.
            ends = torch.stack(torch.aminmax(tensor.detach()))
            by_kind[ends.device, ends.dtype][name] = ends
    for ends_of in by_kind.values():
        yield from zip(ends_of, torch.stack(list(ends_of.values())).tolist(), strict=True)


def _tensors(path: Path) -> dict[str, Tensor]:
    with _opened(path) as file, ThreadPoolExecutor() as pool:
        mapped = {name: file.get_tensor(name) for name in sorted(file.keys())}
        strange = next((name for name, t in mapped.items() if t.dtype not in _READABLE), None)
        if strange is not None:
            raise ValueError(f"'{strange}' is of {mapped[strange].dtype}")
        # Copies: the tensors must not hang on a file that retention may remove.
        return dict(zip(mapped, pool.map(Tensor.clone, mapped.values()), strict=True))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:  # safe_open has no types
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            yield file
    # The last three: types and shapes that the format knows and torch does not.
    except (
        SafetensorError,
        OSError,
        ValueError,
        AttributeError,
        RuntimeError,
        TypeError,
    ) as error:
        raise CheckpointError(f"{path}: cannot be loaded: {str(error)[:200]}") from error


def _check_header(path: Path) -> None:
    """Refuse a header that claims more than the file, or absurdly much, before anyone reads it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
        raise ValueError(f"its header claims {size:,} bytes")


def _text(path: Path, max_bytes: int) -> str:
    try:
        if path.stat().st_size > max_bytes:
            raise CheckpointError(f"{path}: absurdly large")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number[:40]} is no number")
