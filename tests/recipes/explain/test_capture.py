"""What is shown is what the model computed: for every kind of block."""

import pytest
import torch
from torch.nn import functional as F

from gptkit.model import GPT, ModelConfig
from gptkit.recipes.explain.capture import (
    distance_from_rank_one,
    gradient_norms,
    lens,
    watch,
)

SIZE = {"n_layer": 3, "n_head": 4, "n_embd": 16, "context_length": 24}
VARIANTS = {
    "modern": {},
    "gpt2": {"preset": "gpt2"},
    "speedrun": {"preset": "speedrun", "ngram_rows": 64},
    "window": {"attention": {"window": 5}},
    "grouped": {"attention": {"n_kv_head": 2, "head_dim": 8}},
    "multi-query, softcap": {"attention": {"n_kv_head": 1}, "logit_softcap": 3.0},
    "sinusoidal": {"positions": {"name": "sinusoidal"}, "tie_embeddings": False},
}
TOKENS = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3])


@pytest.fixture(params=VARIANTS, ids=list(VARIANTS))
def model(request):
    config = ModelConfig.model_validate({**SIZE, **VARIANTS[request.param]})
    made = GPT(config, vocab_size=11)
    made.init_weights(seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():  # some start at zero, and would hide a mistake
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return made.eval()


def test_the_captured_logits_are_those_of_the_model(model):
    trace = watch(model, TOKENS)

    with torch.no_grad():
        assert torch.equal(trace.logits, model(TOKENS.unsqueeze(0))[0])


def test_each_row_of_a_map_sums_to_one_and_sees_nothing_later(model):
    for layer in watch(model, TOKENS).layers:
        assert layer.weights.shape == (4, 18, 18)
        assert torch.allclose(layer.weights.sum(dim=-1), torch.ones(4, 18), atol=1e-6)
        assert layer.weights.triu(1).abs().max() == 0


def test_the_maps_reproduce_what_each_head_gathered(model):
    for layer in watch(model, TOKENS).layers:
        assert torch.allclose(layer.weights @ layer.values, layer.gathered, atol=1e-5)


def test_a_window_shows_in_the_maps():
    config = ModelConfig.model_validate({**SIZE, "attention": {"window": 5}})
    model = GPT(config, vocab_size=11)
    model.init_weights(seed=1)

    weights = watch(model.eval(), TOKENS).layers[0].weights

    assert weights.tril(-5).abs().max() == 0
    assert weights[:, 10, 6].min() > 0


def test_the_lens_behind_the_last_layer_is_the_models_answer(model):
    trace = watch(model, TOKENS)

    assert torch.allclose(lens(model, trace.layers[-1].output), trace.logits.softmax(-1), atol=1e-6)


def test_gradient_norms_are_those_of_autograd(model):
    norms = gradient_norms(model, TOKENS)

    last = watch(model, TOKENS[:-1]).layers[-1].output.clone().requires_grad_()
    loss = F.cross_entropy(model.unembed(model.final_norm(last)), TOKENS[1:])
    (gradient,) = torch.autograd.grad(loss, last)
    assert len(norms) == 3
    assert norms[-1] == pytest.approx(float(gradient.norm()), rel=1e-4)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("ablate", ["residual", "mlp"])
def test_an_ablated_pass_is_that_of_blocks_written_without_it(model, ablate):
    trace = watch(model, TOKENS, ablate)

    rotation = model.positions.rotation(torch.arange(len(TOKENS)))
    x = trace.embedded.unsqueeze(0)
    with torch.no_grad():
        for block, layer in zip(model.blocks, trace.layers, strict=True):
            attended = block.attention(block.attention_norm(x), rotation, None, None)
            x = block.mlp(block.mlp_norm(attended)) if ablate == "residual" else x + attended
            assert torch.allclose(layer.output, x[0], atol=1e-6)


def test_the_model_is_itself_again_afterwards(model):
    with torch.no_grad():
        before = model(TOKENS.unsqueeze(0))
        watch(model, TOKENS, "residual")
        gradient_norms(model, TOKENS)

        assert torch.equal(model(TOKENS.unsqueeze(0)), before)


def test_positions_that_are_all_the_same_have_rank_one():
    row = torch.randn(8)

    assert distance_from_rank_one(row.repeat(5, 1)) == pytest.approx(0, abs=1e-6)
    assert distance_from_rank_one(torch.eye(2)) == pytest.approx(0.5**0.5)
