import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gptkit.model import GPT, ModelConfig
from tests.model.variants import VOCAB_SIZE, tiny_config


def initialised(seed: int = 0, **settings: object) -> GPT:
    model = GPT(tiny_config(**settings), VOCAB_SIZE)
    model.init_weights(seed)
    return model


def test_weights_are_a_function_of_the_seed() -> None:
    one, same, other = initialised(1), initialised(1), initialised(2)

    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not torch.equal(one.token_embedding.weight, other.token_embedding.weight)


def test_the_global_random_state_is_left_alone() -> None:
    model = GPT(tiny_config(), VOCAB_SIZE)
    before = torch.get_rng_state()

    model.init_weights(0)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_half_precision_model_gets_the_same_weights_rounded() -> None:
    half = GPT(tiny_config(), VOCAB_SIZE).to(torch.bfloat16)

    half.init_weights(0)

    for rounded, exact in zip(half.parameters(), initialised().parameters(), strict=True):
        assert torch.equal(rounded, exact.to(torch.bfloat16))


@pytest.mark.parametrize("vocab_size", [65, 1000])
@pytest.mark.parametrize(("n_layer", "n_embd"), [(2, 64), (4, 128), (3, 384)])
@pytest.mark.parametrize("preset", ["modern", "gpt2", "speedrun"])
def test_the_first_loss_is_near_that_of_knowing_nothing(
    preset: str, n_layer: int, n_embd: int, vocab_size: int
) -> None:
    shape = {"n_layer": n_layer, "n_head": 4, "n_embd": n_embd, "context_length": 64}
    model = GPT(ModelConfig.model_validate({"preset": preset, **shape}), vocab_size)
    model.init_weights(0)
    tokens = torch.randint(vocab_size, (4, 65), generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        logits = model(tokens[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    assert loss.item() == pytest.approx(math.log(vocab_size), abs=0.2)


@pytest.mark.parametrize(
    ("init", "linear", "residual"),
    [
        ("gpt2", 0.02, 0.02 / math.sqrt(2 * 3)),
        ("scaled", 1 / math.sqrt(256), 1 / math.sqrt(256) / math.sqrt(2 * 3)),
    ],
)
def test_linear_layers_are_scaled_by_their_role(init: str, linear: float, residual: float) -> None:
    model = initialised(init=init, n_layer=3, n_embd=256)

    attention = model.blocks[0].attention

    assert attention.qkv_proj.weight.std().item() == pytest.approx(linear, rel=0.05)
    assert attention.out_proj.weight.std().item() == pytest.approx(residual, rel=0.05)


def test_biases_start_at_zero_and_norms_at_one() -> None:
    model = GPT(tiny_config(preset="gpt2"), VOCAB_SIZE)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7.0)

    model.init_weights(0)

    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.abs().max() == 0, name
        if name.endswith("norm.weight"):
            assert torch.equal(parameter, torch.ones_like(parameter)), name


def test_a_model_built_without_memory_is_whole_after_to_empty_and_init() -> None:
    with torch.device("meta"):
        model = GPT(tiny_config(positions={"name": "sinusoidal"}), VOCAB_SIZE)
    tokens = torch.arange(5).unsqueeze(0)

    model.to_empty(device="cpu")
    model.init_weights(0)

    assert torch.equal(model(tokens), initialised(positions={"name": "sinusoidal"})(tokens))
