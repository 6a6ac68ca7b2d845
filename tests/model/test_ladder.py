"""Every rung has the face of GPT: nothing leaks, caches agree, documents keep apart, ln V at first."""

import math

import pytest
import torch
from pydantic import ValidationError

from gptkit.model.ladder import MODELS
from gptkit.section import section_name

VOCAB_SIZE = 30
RUNGS = {
    "bigram": {"name": "bigram", "context_length": 24},
    "rnn": {"name": "rnn", "n_embd": 24, "context_length": 24},
    "deep rnn": {"name": "rnn", "n_embd": 24, "n_layer": 3, "context_length": 24, "dropout": 0.3},
    "gpt": {"name": "gpt", "n_layer": 2, "n_head": 2, "n_embd": 24, "context_length": 24},
}


@pytest.fixture(params=RUNGS.values(), ids=RUNGS)
def model(request):
    config = MODELS.validate(request.param)
    model = MODELS.build(config, VOCAB_SIZE)
    model.init_weights(1)
    return model.eval()


@pytest.fixture
def tokens():
    return torch.randint(VOCAB_SIZE, (3, 20), generator=torch.Generator().manual_seed(4))


def test_the_first_loss_is_ln_v(model, tokens):
    with torch.no_grad():
        logits = model(tokens[:, :-1])

    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert logits.shape == (3, 19, VOCAB_SIZE)
    assert loss.item() == pytest.approx(math.log(VOCAB_SIZE), abs=0.2)


@torch.no_grad()
def test_later_tokens_change_nothing_before_them(model, tokens):
    other = tokens.clone()
    other[:, 12:] = (other[:, 12:] + 1) % VOCAB_SIZE

    assert torch.allclose(model(other)[:, :12], model(tokens)[:, :12], atol=1e-6)
    assert not torch.allclose(model(other)[:, 12:], model(tokens)[:, 12:], atol=1e-3)


@torch.no_grad()
def test_logits_with_a_cache_are_those_of_one_call(model, tokens):
    cache = model.new_cache(3, 24)

    parts = [model(tokens[:, a:b], cache) for a, b in ((0, 7), (7, 8), (8, 20))]

    assert torch.allclose(torch.cat(parts, dim=1), model(tokens), atol=1e-5)
    assert cache.length == 20


@torch.no_grad()
def test_a_repeated_cache_goes_on_for_every_row(model, tokens):
    cache = model.new_cache(1, 24)
    model(tokens[:1, :9], cache)

    rows = model(tokens[:1, 9:10].repeat(4, 1), cache.repeat(4))

    assert torch.allclose(rows, model(tokens[:1, :10])[:, 9:].expand(4, 1, -1), atol=1e-5)


@torch.no_grad()
def test_a_document_knows_nothing_of_the_one_before(model, tokens):
    documents = torch.zeros(3, 20, dtype=torch.int64)
    documents[0, 5:] += 1
    documents[1, 5:] += 1
    documents[1, 11:] += 1

    together = model(tokens, documents=documents)

    assert torch.allclose(together[0, 5:], model(tokens[:1, 5:])[0], atol=1e-5)
    assert torch.allclose(together[1, 5:11], model(tokens[1:2, 5:11])[0], atol=1e-5)
    assert torch.allclose(together[1, 11:], model(tokens[1:2, 11:])[0], atol=1e-5)
    assert torch.allclose(together[2], model(tokens[2:])[0], atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_leaves_chance_alone(model):
    state = torch.get_rng_state()
    again = MODELS.build(model.config, VOCAB_SIZE)
    again.init_weights(1)

    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    assert model.num_parameters() == sum(p.numel() for p in again.parameters())
    rebuilt = torch.get_rng_state()
    again.init_weights(2)
    assert torch.equal(torch.get_rng_state(), rebuilt) and len(state) == len(rebuilt)


def test_parameters_and_work_of_each_rung_worked_out_by_hand():
    bigram = MODELS.build(MODELS.validate({"name": "bigram"}), 30)
    rnn = MODELS.build(MODELS.validate({"name": "rnn", "n_embd": 10}), 30)

    assert (bigram.num_parameters(), bigram.flops_per_token()) == (900, 0)
    # three gates, each from the input and from the state, and two biases of torch's GRU
    assert rnn.num_parameters() == 30 * 10 + 3 * 2 * 10 * 10 + 3 * 2 * 10 + 30 * 10
    assert rnn.flops_per_token() == 6 * (3 * 2 * 10 * 10 + 30 * 10)


@pytest.mark.parametrize(
    ("values", "key"),
    [({"name": "bigram", "n_embd": 4}, "n_embd"), ({"name": "rnn", "n_head": 2}, "n_head")],
)
def test_a_rung_has_only_the_settings_that_mean_something_there(values, key):
    with pytest.raises(Exception) as refused:
        MODELS.validate(values)

    assert key in str(getattr(refused.value, "context", "")) + str(refused.value)
    assert not isinstance(refused.value, ValidationError)


def test_a_model_without_a_name_is_a_gpt():
    assert section_name(type(MODELS.validate({"n_layer": 2}))) == "gpt"
