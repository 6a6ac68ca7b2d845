import math

import pytest
import torch

from gptkit.model.positions import Rotation, rotary_table, rotate, sinusoid_table
from tests.model.variants import random_tokens, tiny_model


def rotation_at(positions: list[int], head_dim: int = 8, theta: float = 10_000.0) -> Rotation:
    table = rotary_table(64, head_dim, theta=theta)[torch.tensor(positions)]
    cos, sin = table.unsqueeze(-3).unbind(-2)
    return Rotation(cos, sin)


def test_a_pair_turns_by_its_position_over_its_wavelength() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 4)  # pairs (0, 2) and (1, 3)

    turned = rotate(x, rotation_at([5], head_dim=4, theta=100.0)).flatten()

    # Channels 0 and 2 turn by 5, channels 1 and 3 by 5 / 100 ** (2 / 4) = 0.5.
    expected = [math.cos(5), -math.sin(0.5), math.sin(5), math.cos(0.5)]
    torch.testing.assert_close(turned, torch.tensor(expected))


@pytest.mark.parametrize("shift", [1, 7, 40])
def test_products_depend_on_the_distance_alone(shift: int) -> None:
    q, k = torch.randn(1, 1, 2, 8), torch.randn(1, 1, 2, 8)

    near = (rotate(q, rotation_at([9])) * rotate(k, rotation_at([4]))).sum(-1)
    far = (rotate(q, rotation_at([9 + shift])) * rotate(k, rotation_at([4 + shift]))).sum(-1)

    torch.testing.assert_close(near, far, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", [[0, 1, 2], [9, 4, 7]])
def test_the_gradient_of_a_turn_is_that_of_small_differences(positions: list[int]) -> None:
    x = torch.randn(2, 3, 2, 8, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(lambda x: rotate(x, rotation_at(positions)), x)


def test_position_zero_turns_nothing() -> None:
    x = torch.randn(2, 1, 3, 8)

    assert torch.equal(rotate(x, rotation_at([0])), x)


def test_sinusoids_alternate_sine_and_cosine() -> None:
    table = sinusoid_table(3, 4, scale=1.0)

    expected = [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)]
    torch.testing.assert_close(table[2], torch.tensor(expected))


@pytest.mark.parametrize("name", ["rotary", "sinusoidal"])
def test_tables_stay_float32_in_a_half_precision_model(name: str) -> None:
    model = tiny_model(positions={"name": name})
    exact = dict(model.named_buffers())

    model.to(torch.bfloat16)

    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, exact[name])
    assert model(random_tokens(1, 5)).dtype == torch.bfloat16


def test_tables_are_no_part_of_the_saved_state() -> None:
    assert not any("rows" in name for name in tiny_model().state_dict())


def test_without_positions_the_order_of_what_came_before_does_not_matter() -> None:
    model = tiny_model(positions={"name": "none"}, n_layer=1)
    tokens = torch.tensor([[1, 2, 3, 4]])

    swapped = model(tokens[:, [1, 0, 2, 3]])

    torch.testing.assert_close(swapped[:, 2:], model(tokens)[:, 2:], atol=1e-5, rtol=1e-5)
