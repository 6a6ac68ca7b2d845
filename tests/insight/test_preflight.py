"""Every mutation here trains happily and is worth nothing; preflight says so before the first step."""

import pytest
import torch

from gptkit.data.batches import Batch
from gptkit.insight.preflight import preflight
from gptkit.model import GPT, ModelConfig, attention, gpt, positions
from gptkit.training import objective
from gptkit.training.optimizer_config import OPTIMIZERS

VOCAB_SIZE = 40


def model_of(**settings):
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32, "context_length": 32}
    model = GPT(ModelConfig(**{**sizes, **settings}), VOCAB_SIZE)
    model.init_weights(1)
    return model


def batch(rows=4, length=32):
    text = torch.randint(VOCAB_SIZE, (rows, length + 1), generator=torch.Generator().manual_seed(2))
    return Batch(text[:, :-1], text[:, 1:])


def problems(model, *, of=None, optimizer=None, fresh=True, documents=True):
    section = OPTIMIZERS.validate(optimizer or {"name": "adamw"})
    context = model.config.context_length
    checks = preflight(
        model, of or batch(length=context), section, fresh=fresh, documents=documents
    )
    return {check.name for check in checks if check.problem}


VARIANTS = {
    "modern": {},
    "gpt2": {"preset": "gpt2"},
    "speedrun": {"preset": "speedrun", "ngram_rows": 64},
    "one block": {"n_layer": 1},
    "window of 2": {"attention": {"window": 2}},
    "window of 5": {"attention": {"window": 5, "n_kv_head": 1}},
    "sinusoidal": {"positions": {"name": "sinusoidal"}},
    "no positions": {"positions": {"name": "none"}},
    "tiny context": {"context_length": 2},
    "dropout": {"dropout": 0.5},
    "recomputed": {"activation_checkpointing": True, "logit_softcap": 5.0},
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_sound_model_passes(settings):
    assert problems(model_of(**settings)) == set()


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_an_optimizer_that_moves_passes(name):
    rate = 0.3 if name == "sgd" else 0.01

    assert problems(model_of(), optimizer={"name": name, "learning_rate": rate}) == set()


def test_an_optimizer_that_does_not_move_is_named():
    assert problems(model_of(), optimizer={"name": "adamw", "learning_rate": 1e-8}) == {"overfit"}


@pytest.mark.parametrize("preset", ["modern", "gpt2", "speedrun"])
def test_a_leaked_mask_is_caught(monkeypatch, preset):
    plain = torch.nn.functional.scaled_dot_product_attention

    def leaking(q, k, v, *, attn_mask=None, is_causal=False, **options):
        return plain(q, k, v, **options)

    def all_see_all(q, k, v, **options):
        return leaking(q, k, v, enable_gqa=True)

    monkeypatch.setattr(attention, "attend", all_see_all)

    assert "future" in problems(model_of(preset=preset))


def test_a_mask_that_is_one_too_wide_is_caught(monkeypatch):
    def attend(q, k, v, **options):
        size = (q.shape[2], k.shape[2])
        seen = torch.ones(size, dtype=torch.bool).tril(k.shape[2] - q.shape[2] + 1)
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)

    monkeypatch.setattr(attention, "attend", attend)

    assert "future" in problems(model_of(preset="gpt2"))


def test_positions_that_forget_the_cache_are_caught(monkeypatch):
    plain = positions.RotaryPositions.rotation
    monkeypatch.setattr(
        positions.RotaryPositions,
        "rotation",
        lambda self, where: plain(self, where - where.amin(dim=-1, keepdim=True)),
    )

    assert "cache" in problems(model_of())


def test_positions_that_are_all_the_same_are_caught(monkeypatch):
    plain = positions.RotaryPositions.rotation
    monkeypatch.setattr(
        positions.RotaryPositions, "rotation", lambda self, where: plain(self, 0 * where)
    )

    assert "order" in problems(model_of())


def test_a_document_that_does_not_start_at_position_0_is_caught(monkeypatch):
    def from_the_window(documents):
        return torch.arange(documents.shape[1]).expand_as(documents)

    monkeypatch.setattr(gpt, "positions_in_documents", from_the_window)

    assert "documents" in problems(model_of(preset="gpt2"))
    assert "documents" not in problems(model_of(preset="gpt2"), documents=False)


@pytest.mark.parametrize("shift", [0, 2])
def test_a_shifted_target_is_caught(shift):
    text = batch(length=36).tokens
    shifted = Batch(text[:, :32], text[:, shift : 32 + shift])

    assert "targets" in problems(model_of(), of=shifted)


def test_a_loss_of_the_wrong_position_is_caught(monkeypatch):
    plain = objective.token_losses
    monkeypatch.setattr(
        objective, "token_losses", lambda logits, targets: plain(logits[:, :-1], targets[:, 1:])
    )

    assert "objective" in problems(model_of())


def test_weights_that_start_too_large_are_named_where_they_should_be_new():
    model = model_of()
    with torch.no_grad():
        model.token_embedding.weight.mul_(40)

    assert problems(model) == {"first loss"}
    assert problems(model, fresh=False) == set()


def test_nothing_changes_neither_weights_nor_chance():
    model = model_of(dropout=0.3).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()

    problems(model)

    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
