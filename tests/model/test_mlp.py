from dataclasses import replace

import pytest
import torch

from gptkit.model import mlp as module
from gptkit.model.activations import ACTIVATIONS, silu_gate
from gptkit.model.config import MLPS, ReLU2Config, SwiGLUConfig
from gptkit.model.mlp import MLP, SwiGLU
from gptkit.model.native.parts import parts_for
from tests.model.variants import tiny_config


@pytest.mark.parametrize(("n_embd", "width"), [(384, 1024), (128, 352), (768, 2048), (16, 64)])
def test_the_gated_width_is_eight_thirds_rounded_up_to_32(n_embd: int, width: int) -> None:
    mlp = SwiGLU(SwiGLUConfig(), tiny_config(n_embd=n_embd))

    assert mlp.down_proj.in_features == width


@pytest.mark.parametrize("name", list(MLPS))
def test_a_given_width_is_used(name: str) -> None:
    mlp = MLPS.build(MLPS.validate({"name": name, "width": 20}), tiny_config())

    assert mlp.down_proj.in_features == 20


def test_relu2_is_the_square_of_relu() -> None:
    mlp = MLP(ReLU2Config(), tiny_config())

    assert mlp.activation(torch.tensor([-2.0, 0.0, 3.0])).tolist() == [0.0, 0.0, 9.0]


def step(mlp: torch.nn.Module, x: torch.Tensor, *, half: bool) -> tuple[list[torch.Tensor], int]:
    """Return output and gradients, and the bytes that were kept for the backward pass."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    x = x.clone().requires_grad_()
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=half),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        y = mlp(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    own = {parameter.untyped_storage().data_ptr() for parameter in mlp.parameters()}
    num_bytes = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    assert x.grad is not None
    found = [y.detach(), x.grad, *(p.grad.clone() for p in mlp.parameters() if p.grad is not None)]
    mlp.zero_grad()
    return found, num_bytes


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", list(MLPS))
def test_large_inner_channels_are_computed_again_for_the_same_gradients(
    name: str, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    config = tiny_config(n_embd=32, bias=True)
    mlp = MLPS.build(MLPS.validate({"name": name, "width": 128}), config)
    x = torch.randn(3, 50, 32)

    plain, num_bytes = step(mlp, x, half=half)
    monkeypatch.setattr(module, "_RECOMPUTE_FROM", 3 * 50 * 128)
    again, num_bytes_again = step(mlp, x, half=half)

    assert len(again) == len(plain) >= 6
    for ours, theirs in zip(again, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1.6e-2 if half else 1e-5, atol=1e-5)
    inner = 3 * 50 * 128 * (2 if half else 4)
    # Autograd keeps what comes out of relu, which is what the product needs, too.
    assert num_bytes - num_bytes_again >= (0 if name == "relu" else inner)


def test_a_frozen_matrix_gets_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RECOMPUTE_FROM", 0)
    mlp = MLP(ReLU2Config(), tiny_config())
    mlp.down_proj.requires_grad_(False)

    mlp(torch.randn(2, 3, mlp.up_proj.in_features)).sum().backward()

    assert mlp.down_proj.weight.grad is None
    assert mlp.up_proj.weight.grad is not None


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_number_means_the_same_activation_in_the_compiled_parts(name: str) -> None:
    activation = ACTIVATIONS[name]
    x = torch.linspace(-6, 6, 1001, requires_grad=True)
    if parts_for(x) is None:
        pytest.skip("nothing is compiled here")

    compiled = replace(activation, compiled=True)(x)

    by_torch = activation.by_torch(x)
    torch.testing.assert_close(compiled, by_torch, atol=1e-6, rtol=1e-5)
    slopes = [torch.autograd.grad(y.sum(), x)[0] for y in (compiled, by_torch)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-5)


def test_a_gate_of_another_precision_than_what_it_opens_is_left_to_torch() -> None:
    x, opened = torch.randn(5), torch.randn(5).bfloat16()

    assert torch.equal(silu_gate(x, opened), silu_gate.by_torch(x, opened))
