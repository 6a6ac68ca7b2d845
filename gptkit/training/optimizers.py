"""Optimizers: parameter groups, and how AdamW, Muon and torch's other classes are built."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gptkit.training.lean import AdamW
from gptkit.training.muon import Muon, hidden_matrices
from gptkit.training.optimizer_config import (
    TORCH_CLASSES,
    AdamWConfig,
    MuonConfig,
    OptimizerConfig,
)

# Learning rate of the rest / that of the matrices. The quarter is measured: 0.8M parameters, 400
# steps of 24 x 64 characters.
_ADAMW_SHARE = {"original": 0.25, "match_rms_adamw": 1.0}
_FUSED_DEVICES = {"cpu", "cuda"}


def build_adamw(section: AdamWConfig, model: nn.Module) -> Optimizer:
    """Return AdamW over the parameters of `model`, fused into one kernel where the device has it.

    Reference: Decoupled Weight Decay Regularization, arXiv:1711.05101, algorithm 2.
    """
    groups = parameter_groups(
        model, section.weight_decay, decay_embeddings=section.decay_embeddings
    )
    return AdamW(
        groups,
        lr=section.learning_rate,
        betas=section.betas,
        eps=section.eps,
        amsgrad=section.amsgrad,
        fused=_is_fused(model),
    )


def build_muon(section: MuonConfig, model: nn.Module) -> Optimizer:
    """Return Muon over the matrices of the blocks and AdamW over the other parameters."""
    matrices = hidden_matrices(model)
    adamw_learning_rate = section.adamw_learning_rate
    if adamw_learning_rate is None:
        adamw_learning_rate = _ADAMW_SHARE[section.adjust_lr_fn] * section.learning_rate
    return Muon(
        matrices,
        parameter_groups(model, section.weight_decay, without=matrices),
        lr=section.learning_rate,
        momentum=section.momentum,
        weight_decay=section.weight_decay,
        ns_coefficients=section.ns_coefficients,
        ns_steps=section.ns_steps,
        adjust_lr_fn=section.adjust_lr_fn,
        adamw_lr=adamw_learning_rate,
        betas=section.betas,
        eps=section.eps,
        fused=_is_fused(model),
    )


def build_torch(section: OptimizerConfig, model: nn.Module) -> Optimizer:
    """Return the torch.optim class that the section names, with its arguments."""
    arguments = {key: getattr(section, key) for key in type(section).model_fields}
    name, learning_rate = arguments.pop("name"), arguments.pop("learning_rate")
    groups: Iterable[Any] = [p for p in model.parameters() if p.requires_grad]
    if "weight_decay" in arguments:
        groups = parameter_groups(model, arguments.pop("weight_decay"))
    optimizer = getattr(torch.optim, TORCH_CLASSES[name])(groups, lr=learning_rate, **arguments)
    assert isinstance(optimizer, Optimizer)
    return optimizer


def parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    decay_embeddings: bool = True,
    without: Collection[Tensor] = (),
) -> list[dict[str, Any]]:
    """Return the parameters that learn in two groups: matrices decay, vectors (norms, biases) do not.

    decay_embeddings: whether the tables of nn.Embedding decay too, a head tied to one included;
    without: parameters to leave out.
    """
    left_out = {id(parameter) for parameter in without}
    tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        if id(parameter) in left_out or not parameter.requires_grad:
            continue
        spared = id(parameter) in tables and not decay_embeddings
        (decayed if parameter.ndim >= 2 and not spared else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _is_fused(model: nn.Module) -> bool:
    return all(parameter.device.type in _FUSED_DEVICES for parameter in model.parameters())


def scale_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set the learning rate of each group to `factor` times the one it was built with."""
    for group in optimizer.param_groups:
        peak = group.setdefault("peak_learning_rate", group["lr"])
        group["lr"] = peak * factor
