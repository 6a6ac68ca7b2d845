"""Settings of the optimizers: AdamW, Muon, and the torch.optim classes that step dense parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model, model_validator

from gptkit.section import (
    Choices,
    Flag,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Probability,
    Section,
    number,
)

Betas = tuple[Probability, Probability]


class OptimizerConfig(Section):
    """What every optimizer has."""

    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; the schedule multiplies it by a factor in [0, 1]."""


class AdamWConfig(OptimizerConfig):
    """AdamW, fused where the device has it. Matrices decay, vectors (norms, biases) never do."""

    name: Literal["adamw"] = "adamw"
    betas: Betas = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    amsgrad: Flag = False
    """Divide by the largest second moment so far."""
    weight_decay: NonNegativeFloat = 0.1
    """Decoupled decay, per unit of learning rate."""
    decay_embeddings: Flag = True
    """Decay the embedding tables too."""


class MuonConfig(OptimizerConfig):
    """Muon for the matrices of the blocks, AdamW for the rest: embeddings, head, norms, biases."""

    name: Literal["muon"] = "muon"
    learning_rate: PositiveFloat = 0.02
    """Peak learning rate of the matrices of the blocks."""
    adamw_learning_rate: PositiveFloat | None = None
    """Peak learning rate of the rest; null: a quarter of learning_rate under adjust_lr_fn original,
    the same under match_rms_adamw."""
    weight_decay: NonNegativeFloat = 0.1
    """Decoupled decay of matrices and embeddings, per unit of their learning rate."""
    momentum: Probability = 0.95
    """Nesterov momentum of the matrices."""
    ns_coefficients: Literal["original", "polar_express"] = "original"
    """Of the Newton-Schulz iteration; polar_express: nearer to orthogonal, and good with 3 steps."""
    ns_steps: PositiveInt = 5
    """Newton-Schulz iterations; fewer are faster and less orthogonal."""
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original"
    """How far a matrix moves; original: learning_rate per row; match_rms_adamw: as far as under an
    AdamW of that learning rate."""
    betas: Betas = (0.9, 0.99)
    """Of AdamW."""
    eps: PositiveFloat = 1e-8
    """Of AdamW."""


class TorchOptimizerConfig(OptimizerConfig):
    """What every torch.optim class has that decays weights."""

    weight_decay: NonNegativeFloat = 0.0
    """Of matrices; vectors never decay."""


class _MomentumConfig(TorchOptimizerConfig):
    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> _MomentumConfig:
        values = self.model_dump()
        if values["nesterov"] and (not values["momentum"] or values["dampening"]):
            raise ValueError("nesterov needs momentum above 0, and no dampening")
        return self


_AtMostZero = Annotated[float, BeforeValidator(number), Field(le=0)]
_AtLeastOne = Annotated[float, BeforeValidator(number), Field(ge=1)]
_BelowOne = Annotated[float, BeforeValidator(number), Field(gt=0, lt=1)]
_AboveOne = Annotated[float, BeforeValidator(number), Field(gt=1)]
_BETAS = (Betas, (0.9, 0.999))
_EPS = (PositiveFloat, 1e-8)
_DECOUPLED = (Flag, False)

# Class name -> its arguments but weight_decay, with lr as learning_rate: type and torch's own
# default. The tests hold this against torch's signatures. Left out are arguments that change how,
# not what, is computed (foreach, fused, capturable, differentiable) and maximize, and the classes
# LBFGS (needs a closure), SparseAdam (sparse gradients only) and Muon (MuonConfig is ours).
_ARGUMENTS: dict[str, dict[str, tuple[Any, Any]]] = {
    "Adadelta": {
        "learning_rate": (PositiveFloat, 1.0),
        "rho": (Probability, 0.9),
        "eps": (PositiveFloat, 1e-6),
    },
    "Adafactor": {
        "learning_rate": (PositiveFloat, 1e-2),
        "beta2_decay": (_AtMostZero, -0.8),
        "eps": (tuple[PositiveFloat | None, PositiveFloat], (None, 1e-3)),
        "d": (_AtLeastOne, 1.0),
    },
    "Adagrad": {
        "learning_rate": (PositiveFloat, 1e-2),
        "lr_decay": (NonNegativeFloat, 0.0),
        "initial_accumulator_value": (NonNegativeFloat, 0.0),
        "eps": (PositiveFloat, 1e-10),
    },
    "Adam": {
        "learning_rate": (PositiveFloat, 1e-3),
        "betas": _BETAS,
        "eps": _EPS,
        "amsgrad": (Flag, False),
        "decoupled_weight_decay": _DECOUPLED,
    },
    "Adamax": {"learning_rate": (PositiveFloat, 2e-3), "betas": _BETAS, "eps": _EPS},
    "ASGD": {
        "learning_rate": (PositiveFloat, 1e-2),
        "lambd": (NonNegativeFloat, 1e-4),
        "alpha": (NonNegativeFloat, 0.75),
        "t0": (NonNegativeFloat, 1e6),
    },
    "NAdam": {
        "learning_rate": (PositiveFloat, 2e-3),
        "betas": _BETAS,
        "eps": _EPS,
        "momentum_decay": (NonNegativeFloat, 4e-3),
        "decoupled_weight_decay": _DECOUPLED,
    },
    "RAdam": {
        "learning_rate": (PositiveFloat, 1e-3),
        "betas": _BETAS,
        "eps": _EPS,
        "decoupled_weight_decay": _DECOUPLED,
    },
    "RMSprop": {
        "learning_rate": (PositiveFloat, 1e-2),
        "alpha": (Probability, 0.99),
        "eps": _EPS,
        "momentum": (NonNegativeFloat, 0.0),
        "centered": (Flag, False),
    },
    "Rprop": {
        "learning_rate": (PositiveFloat, 1e-2),
        "etas": (tuple[_BelowOne, _AboveOne], (0.5, 1.2)),
        "step_sizes": (tuple[PositiveFloat, PositiveFloat], (1e-6, 50.0)),
    },
    "SGD": {
        "learning_rate": (PositiveFloat, 1e-3),
        "momentum": (NonNegativeFloat, 0.0),
        "dampening": (NonNegativeFloat, 0.0),
        "nesterov": (Flag, False),
    },
}
# Where TorchOptimizerConfig does not fit: Rprop has no weight decay.
_BASES: dict[str, type[OptimizerConfig]] = {"Rprop": OptimizerConfig, "SGD": _MomentumConfig}

TORCH_CLASSES = {class_name.lower(): class_name for class_name in _ARGUMENTS}
"""Our name of each torch.optim class that is built from its arguments alone."""


def _torch_section(name: str, class_name: str) -> type[Section]:
    fields: dict[str, Any] = {"name": (Literal[name], name), **_ARGUMENTS[class_name]}
    base = _BASES.get(class_name, TorchOptimizerConfig)
    doc = f"torch.optim.{class_name} under its own argument names, but for lr."
    return create_model(f"{class_name}Config", __base__=base, __doc__=doc, **fields)


OPTIMIZERS = Choices(
    "optimizer",
    {
        AdamWConfig: "gptkit.training.optimizers:build_adamw",
        MuonConfig: "gptkit.training.optimizers:build_muon",
        **{
            _torch_section(name, class_name): "gptkit.training.optimizers:build_torch"
            for name, class_name in TORCH_CLASSES.items()
        },
    },
    default="adamw",
)
