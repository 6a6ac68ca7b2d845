"""The state of any torch.optim class as tensors and plain values, by parameter name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gptkit.errors import CheckpointError

# Names without a dot: no parameter's key looks like that.
_CLASS = "class"
_WITHOUT_STATE = "without_state"
_SCALER = "grad_scaler"


def optimizer_state(
    optimizer: Optimizer, model: nn.Module, scaler: GradScaler | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `optimizer` remembers: tensors, and values that JSON can hold.

    Both are keyed "<parameter name>.<state key>"; the values hold besides the optimizer's class,
    the parameters without any state (no gradient reached them yet) and, for float16, the state of
    the gradient `scaler`. Learning rates and other settings are not state: they follow from the
    config and the step.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {_CLASS: type(optimizer).__name__, _WITHOUT_STATE: []}
    for name, parameter in _named(optimizer, model).items():
        state = optimizer.state.get(parameter, {})
        if not state:
            values[_WITHOUT_STATE].append(name)
        for key, value in state.items():
            kept: dict[str, Any] = tensors if isinstance(value, Tensor) else values
            kept[f"{name}.{key}"] = value
    if scaler is not None and scaler.is_enabled():
        values[_SCALER] = scaler.state_dict()
    return tensors, values


def load_optimizer_state(
    optimizer: Optimizer,
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
    scaler: GradScaler | None = None,
) -> None:
    """Give `optimizer`, over the parameters of `model`, what `optimizer_state` returned.

    Raises: CheckpointError when the state is another class's, or a key is missing, unknown or of
    another shape. Nothing is changed then.
    """
    kept, here = values.get(_CLASS), type(optimizer).__name__
    if kept != here:
        raise CheckpointError(
            f"optimizer state: it is of {kept}, but the config's optimizer is {here}"
        )
    without = values.get(_WITHOUT_STATE, [])
    if not isinstance(without, list) or not all(isinstance(name, str) for name in without):
        raise CheckpointError(f"optimizer state: '{_WITHOUT_STATE}' is no list of names")
    expected = {
        name: {} if name in without else state for name, state in _fresh(optimizer, model).items()
    }
    _check_keys(expected, tensors, values)
    for name, state in expected.items():
        for key, value in state.items():
            full = f"{name}.{key}"
            if full not in tensors and type(values[full]) is not type(value):
                raise CheckpointError(f"optimizer state: '{full}' is {str(values[full])[:40]!r}")
            state[key] = _like(value, tensors[full], full) if full in tensors else values[full]
    optimizer.state.clear()
    for name, parameter in _named(optimizer, model).items():
        if expected[name]:
            optimizer.state[parameter] = expected[name]
    if scaler is not None and scaler.is_enabled() and _SCALER in values:
        scaler.load_state_dict(values[_SCALER])


def _named(optimizer: Optimizer, model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the optimizer's parameters by their name in `model`."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: p for group in optimizer.param_groups for p in group["params"]}


def _fresh(optimizer: Optimizer, model: nn.Module) -> dict[str, dict[str, Any]]:
    """Return, by parameter name, a state of the keys, shapes and devices that this optimizer keeps.

    No table says what a class keeps: a copy of it shows that, by one step with zero gradients. The
    copy has parameters of its own, so the weights stay as they are.
    """
    twin = copy.deepcopy(optimizer)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    twin.step()
    originals = (p for group in optimizer.param_groups for p in group["params"])
    copies = (p for group in twin.param_groups for p in group["params"])
    of_original = dict(zip(originals, copies, strict=True))
    return {
        name: dict(twin.state.get(of_original[parameter], {}))
        for name, parameter in _named(optimizer, model).items()
    }


def _check_keys(
    expected: Mapping[str, Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
    values: Mapping[str, Any],
) -> None:
    wanted = {f"{name}.{key}" for name, state in expected.items() for key in state}
    given = set(tensors) | (set(values) - {_CLASS, _WITHOUT_STATE, _SCALER})
    for what, keys in (("lacks", wanted - given), ("has unknown", given - wanted)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise CheckpointError(f"optimizer state: it {what} '{min(keys)}'{more}")


def _like(fresh: Any, kept: Tensor, key: str) -> Tensor:
    """Return `fresh` with the numbers of `kept`: its device and precision are the right ones."""
    shape = tuple(fresh.shape) if isinstance(fresh, Tensor) else None
    if shape != tuple(kept.shape):
        raise CheckpointError(
            f"optimizer state: '{key}' has shape {tuple(kept.shape)}, the model asks for {shape}"
        )
    assert isinstance(fresh, Tensor)
    return fresh.copy_(kept)
