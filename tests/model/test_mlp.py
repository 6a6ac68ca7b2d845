import pytest
import torch

from gptkit.model.config import MLPS, ReLU2Config, SwiGLUConfig
from gptkit.model.mlp import MLP, SwiGLU
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
