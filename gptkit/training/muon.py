"""Muon: each matrix of the blocks moves along an orthogonal matrix; AdamW moves the rest.

    gradient -> momentum (Nesterov) -> split where fused (q, k, v) -> stacked with all of its shape
             -> Newton-Schulz -> added to the weights

The momentum of a matrix has a few large singular values and many small ones. With all of them set
to about 1, what is seen rarely is learned as fast as what is seen often.

References: Keller Jordan, Muon, https://kellerjordan.github.io/posts/muon/; Muon is Scalable for
LLM Training, arXiv:2502.16982.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from gptkit.training.lean import LeanOptimizer
from gptkit.training.orthogonal import Coefficients, orthogonalise

AdjustLR = Literal["original", "match_rms_adamw"]


@runtime_checkable
class FusesProjections(Protocol):
    """A part that says which of its linear layers are several side by side."""

    def fused_projections(self) -> Iterable[tuple[nn.Linear, Sequence[int]]]:
        """Return each such layer with the rows of each matrix in its weight, from the top."""


def hidden_matrices(model: nn.Module) -> dict[Tensor, tuple[int, ...]]:
    """Return what learns of the linear layers in `model.blocks`, with the rows of each matrix.

    None in a model without blocks (bigram, rnn): AdamW moves all of it.
    """
    stack = getattr(model, "blocks", None)
    blocks = list(stack.modules()) if isinstance(stack, nn.Module) else []
    fused = {
        layer.weight: tuple(rows)
        for part in blocks
        if isinstance(part, FusesProjections)
        for layer, rows in part.fused_projections()
    }
    linear = [part for part in blocks if isinstance(part, nn.Linear)]
    weights = [part.weight for part in linear if part.weight.requires_grad]
    return {weight: fused.get(weight, (weight.shape[0],)) for weight in weights}


class Muon(LeanOptimizer):
    """Muon for matrices and AdamW for the rest: one optimizer, in groups.

    No step waits for the device: where a flag `found_inf` is set, as GradScaler does it, weights
    and state stay as they are.
    """

    def __init__(
        self,
        matrices: Mapping[Tensor, Sequence[int]],
        others: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        ns_coefficients: Coefficients,
        ns_steps: int,
        adjust_lr_fn: AdjustLR,
        adamw_lr: float,
        betas: tuple[float, float],
        eps: float,
        fused: bool,
    ) -> None:
        """Take parameters, and settings under the names of torch.optim.Muon and AdamW.

        matrices: (R, C) weights, each with the rows of the matrices in it, which sum to R;
        others: groups for AdamW, each with `params` and its `weight_decay`.
        """
        for_muon = {
            "algorithm": "muon",
            "params": list(matrices),
            "rows": [tuple(rows) for rows in matrices.values()],
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "ns_coefficients": ns_coefficients,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        for_adamw = {
            "algorithm": "adamw",
            "lr": adamw_lr,
            "betas": betas,
            "eps": eps,
            "fused": fused,
        }
        groups = [for_muon] if matrices else []
        super().__init__([*groups, *({**for_adamw, **group} for group in others)], {})
        self._step_supports_amp_scaling = fused

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        assert getattr(self, "grad_scale", None) is None, "gradients come unscaled"
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            if group["algorithm"] == "muon":
                self._step_muon(group, found_inf)
            else:
                self._step_adamw(group, found_inf)

    def _step_muon(self, group: Mapping[str, Any], found_inf: Tensor | None) -> None:
        pairs = zip(group["params"], group["rows"], strict=True)
        given = [(weight, rows) for weight, rows in pairs if weight.grad is not None]
        if not given:
            return
        weights = [weight for weight, _ in given]
        momenta = [self._kept(weight, "momentum_buffer") for weight in weights]
        gradients = [weight.grad for weight in weights]
        if found_inf is not None:
            # Momentum that meets itself as the gradient stays as it is.
            gradients = [
                torch.where(found_inf > 0, momentum, gradient)
                for momentum, gradient in zip(momenta, gradients, strict=True)
            ]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        directions = torch._foreach_lerp(gradients, momenta, group["momentum"])
        decay = group["lr"] * group["weight_decay"]
        if found_inf is not None:
            wanted = (found_inf == 0).to(directions[0].dtype)
            torch._foreach_mul_(directions, wanted)
            decay = decay * wanted
        torch._foreach_mul_(weights, 1 - decay)
        all_rows = [rows for _, rows in given]
        _subtract_orthogonalised(_split(weights, all_rows), _split(directions, all_rows), group)

    def _step_adamw(self, group: Mapping[str, Any], found_inf: Tensor | None) -> None:
        parameters = [p for p in group["params"] if p.grad is not None]
        for parameter in parameters:
            if not self.state[parameter]:
                # Fused kernels count on their own device, the others on the host.
                device = parameter.device if group["fused"] else torch.device("cpu")
                self.state[parameter]["step"] = torch.zeros((), device=device)
        beta1, beta2 = group["betas"]
        adamw(
            parameters,
            [p.grad for p in parameters],
            [self._kept(p, "exp_avg") for p in parameters],
            [self._kept(p, "exp_avg_sq") for p in parameters],
            [],
            [self.state[p]["step"] for p in parameters],
            fused=group["fused"],
            found_inf=found_inf,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _kept(self, parameter: Tensor, key: str) -> Tensor:
        """Return the parameter's state of that name, zeros at first."""
        state = self.state[parameter]
        if key not in state:
            state[key] = torch.zeros_like(parameter)
        kept: Tensor = state[key]
        return kept


def lr_ratio(rows: int, columns: int, adjust_lr_fn: AdjustLR) -> float:
    """Return what the learning rate is multiplied by for a matrix of that shape.

    original: a row, which makes one output channel, moves by a length of about the rate;
    match_rms_adamw: a number moves by about 0.2 of the rate, as under AdamW.
    """
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def _subtract_orthogonalised(
    weights: Sequence[Tensor], directions: Sequence[Tensor], group: Mapping[str, Any]
) -> None:
    """Move each weight against its direction, orthogonalised, by the settings of the group.

    All of one shape go through each kernel together, a shape and its transpose likewise.
    """
    stacks: dict[torch.Size, dict[float, list[tuple[Tensor, Tensor]]]] = {}
    for weight, direction in zip(weights, directions, strict=True):
        rows, columns = weight.shape
        rate = group["lr"] * lr_ratio(rows, columns, group["adjust_lr_fn"])
        if rows > columns:
            weight, direction = weight.mT, direction.mT
        stacks.setdefault(weight.shape, {}).setdefault(rate, []).append((weight, direction))
    for by_rate in stacks.values():
        stack = torch.stack([direction for pairs in by_rate.values() for _, direction in pairs])
        x = orthogonalise(stack, steps=group["ns_steps"], coefficients=group["ns_coefficients"])
        updates = iter(x.to(stack.dtype).unbind())
        for rate, pairs in by_rate.items():
            moved = [weight for weight, _ in pairs]
            torch._foreach_add_(moved, [next(updates) for _ in moved], alpha=-rate)


def _split(tensors: Iterable[Tensor], rows: Iterable[Sequence[int]]) -> list[Tensor]:
    """Return views of the matrices inside."""
    pairs = zip(tensors, rows, strict=True)
    return [part for tensor, sizes in pairs for part in torch.split(tensor, list(sizes))]
