import pytest
import torch
from torch.nn import functional as F

from gptkit.model.norm import RMSNorm, norm_heads

pytestmark = pytest.mark.usefixtures("way")


def test_a_vector_is_divided_by_its_root_mean_square() -> None:
    norm = RMSNorm(2, eps=1e-12)

    # The mean of 3 ** 2 and 4 ** 2 is 12.5.
    torch.testing.assert_close(norm(torch.tensor([3.0, 4.0])), torch.tensor([3.0, 4.0]) / 12.5**0.5)


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (2, 3, 4, 7)])
def test_gradients_by_hand_are_those_of_torch(shape: tuple[int, ...]) -> None:
    norm = RMSNorm(7, eps=1e-6)
    with torch.no_grad():
        norm.weight.normal_()
    x = torch.randn(shape, requires_grad=True)
    gradient = torch.randn(shape)

    by_hand = torch.autograd.grad(norm(x), (x, norm.weight), gradient)

    y = F.rms_norm(x, (7,), norm.weight, 1e-6)
    by_torch = torch.autograd.grad(y, (x, norm.weight), gradient)
    torch.testing.assert_close(by_hand, by_torch, atol=1e-5, rtol=1e-5)


def test_the_gradient_is_that_of_small_differences() -> None:
    norm = RMSNorm(4, eps=1e-6).double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(norm, x)


def test_half_precision_comes_out_as_it_came_in() -> None:
    norm = RMSNorm(64, eps=1e-6)
    x = torch.randn(5, 64)

    y = norm(x.bfloat16())

    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), norm(x), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16])
def test_gradients_in_half_precision_are_those_of_float32_rounded(
    weight_dtype: torch.dtype,
) -> None:
    norm = RMSNorm(64, eps=1e-6).to(weight_dtype)
    x, gradient = torch.randn(2, 3, 64), torch.randn(2, 3, 64)
    precise = RMSNorm(64, eps=1e-6)
    wide, half = x.clone().requires_grad_(), x.bfloat16().requires_grad_()

    rounded = torch.autograd.grad(norm(half), (half, norm.weight), gradient.bfloat16())
    exact = torch.autograd.grad(precise(wide), (wide, precise.weight), gradient)

    assert [g.dtype for g in rounded] == [torch.bfloat16, weight_dtype]
    for ours, theirs in zip(rounded, exact, strict=True):
        torch.testing.assert_close(ours.float(), theirs, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("grad", [True, False])
def test_heads_with_weights_of_their_own_are_normed_one_by_one(grad: bool) -> None:
    x = torch.randn(2, 5, 3, 8, requires_grad=grad)
    weight = torch.randn(3, 8, requires_grad=grad)

    y = norm_heads(x, weight, 1e-6)

    each = [F.rms_norm(x[:, :, i], (8,), weight[i], 1e-6) for i in range(3)]
    expected = torch.stack(each, dim=2)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    if grad:
        gradient = torch.randn_like(y)
        ours = torch.autograd.grad(y, (x, weight), gradient)
        theirs = torch.autograd.grad(expected, (x, weight), gradient)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
