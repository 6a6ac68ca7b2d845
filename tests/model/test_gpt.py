"""Laws of the whole model, for every variant."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gptkit.model import GPT, ModelConfig
from gptkit.model.gpt import positions_in_documents
from tests.model.variants import (
    CONTEXT_LENGTH,
    VARIANTS,
    VOCAB_SIZE,
    random_tokens,
    tiny_config,
    tiny_model,
)

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


@every_variant
def test_a_future_token_changes_nothing_before_it(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)
    tokens = random_tokens(2, CONTEXT_LENGTH)
    changed = tokens.clone()
    changed[:, 7] = (tokens[:, 7] + 1) % VOCAB_SIZE

    before, after = model(tokens), model(changed)

    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7], after[:, 7])


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_future_token_changes_nothing_before_it_in_training(
    settings: dict[str, Any], dtype: torch.dtype
) -> None:
    model = tiny_model(**settings, dropout=0.3).train()
    tokens = random_tokens(2, CONTEXT_LENGTH)
    changed = tokens.clone()
    changed[:, 7] = (tokens[:, 7] + 1) % VOCAB_SIZE

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        torch.manual_seed(0)
        before = model(tokens)
        torch.manual_seed(0)
        after = model(changed)

    assert torch.equal(before[:, :7], after[:, :7])


@every_variant
@pytest.mark.parametrize(
    "cuts", [[12], [1] * 12, [5, 7], [1, 4, 1, 6], [9, 1, 1, 1]], ids=lambda cuts: str(cuts)
)
def test_cache_gives_the_logits_of_the_full_forward(
    settings: dict[str, Any], cuts: list[int]
) -> None:
    model = tiny_model(**settings)
    tokens = random_tokens(2, CONTEXT_LENGTH)
    cache = model.new_cache(2, CONTEXT_LENGTH)

    with torch.no_grad():
        pieces = [model(piece, cache) for piece in tokens.split(cuts, dim=1)]

    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), atol=1e-4, rtol=0)


@every_variant
def test_documents_give_the_logits_of_each_alone(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)
    tokens = random_tokens(2, CONTEXT_LENGTH)
    documents = torch.tensor([[3] * 5 + [4] * 1 + [5] * 6, [0] * 2 + [1] * 10])

    logits = model(tokens, documents=documents)

    for row, start, end in [(0, 0, 5), (0, 5, 6), (0, 6, 12), (1, 0, 2), (1, 2, 12)]:
        alone = model(tokens[row : row + 1, start:end])
        torch.testing.assert_close(logits[row : row + 1, start:end], alone, atol=1e-5, rtol=0)


@every_variant
def test_documents_are_kept_apart_in_training_too(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings).train()
    tokens = random_tokens(1, CONTEXT_LENGTH)
    changed = tokens.clone()
    changed[:, 0] = (tokens[:, 0] + 1) % VOCAB_SIZE
    documents = torch.tensor([[0] * 5 + [1] * 7])

    before, after = model(tokens, documents=documents), model(changed, documents=documents)

    assert torch.equal(before[:, 5:], after[:, 5:])


@every_variant
def test_training_and_evaluation_agree_without_dropout(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)
    tokens = random_tokens(2, CONTEXT_LENGTH)

    evaluated = model(tokens)
    trained = model.train()(tokens)

    torch.testing.assert_close(trained, evaluated, atol=1e-5, rtol=1e-5)


@every_variant
def test_bfloat16_autocast_trains_near_float32(settings: dict[str, Any]) -> None:
    model = GPT(tiny_config(**settings), VOCAB_SIZE)
    model.init_weights(0)
    tokens = random_tokens(2, CONTEXT_LENGTH)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens)
    logits.float().square().sum().backward()

    torch.testing.assert_close(logits.float(), model(tokens), atol=0.05, rtol=0.05)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@every_variant
def test_cache_works_in_bfloat16_autocast(settings: dict[str, Any]) -> None:
    model = GPT(tiny_config(**settings), VOCAB_SIZE).eval()
    model.init_weights(0)
    tokens = random_tokens(2, CONTEXT_LENGTH)

    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        cache = model.new_cache(2, CONTEXT_LENGTH)
        pieces = [model(piece, cache) for piece in tokens.split([5, 1, 6], dim=1)]
        full = model(tokens)

    torch.testing.assert_close(torch.cat(pieces, dim=1), full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_activation_checkpointing_gives_the_same_gradients(dropout: float) -> None:
    plain = tiny_model(dropout=dropout).train()
    checkpointed = tiny_model(dropout=dropout, activation_checkpointing=True).train()
    tokens = random_tokens(2, CONTEXT_LENGTH)

    for model in (plain, checkpointed):
        torch.manual_seed(3)
        model(tokens).square().mean().backward()

    for one, other in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_dropout_depends_on_the_seed_alone() -> None:
    model = tiny_model(dropout=0.5).train()
    tokens = random_tokens(2, CONTEXT_LENGTH)

    torch.manual_seed(1)
    first = model(tokens)
    torch.manual_seed(1)
    again = model(tokens)
    other = model(tokens)

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_tokens_than_the_context_are_refused() -> None:
    model = tiny_model(positions={"name": "learned"})

    with pytest.raises(AssertionError, match="13 tokens in 12"):
        model(random_tokens(1, CONTEXT_LENGTH + 1))


def test_cached_tokens_count_towards_the_context() -> None:
    model = tiny_model()
    cache = model.new_cache(1, 20)
    model(random_tokens(1, CONTEXT_LENGTH), cache)

    with pytest.raises(AssertionError, match="13 tokens in 12"):
        model(random_tokens(1, 1), cache)


def test_cache_and_documents_together_are_refused() -> None:
    model = tiny_model()
    tokens = random_tokens(1, 4)

    with pytest.raises(AssertionError, match="one document"):
        model(tokens, model.new_cache(1, 4), documents=torch.zeros_like(tokens))


def test_softcap_bounds_the_logits() -> None:
    logits = tiny_model(logit_softcap=0.25)(random_tokens(2, CONTEXT_LENGTH))

    assert logits.abs().max() <= 0.25


def test_gpt2_small_has_its_published_number_of_parameters() -> None:
    shape = {"n_layer": 12, "n_head": 12, "n_embd": 768, "context_length": 1024}

    with torch.device("meta"):
        model = GPT(ModelConfig.model_validate({"preset": "gpt2", **shape}), 50257)

    assert model.num_parameters() == 124_439_808


def test_flops_per_token_are_palms() -> None:
    shape = {"n_layer": 12, "n_head": 12, "n_embd": 768, "context_length": 1024}

    with torch.device("meta"):
        model = GPT(ModelConfig.model_validate({"preset": "gpt2", **shape}), 50257)

    # 12 layers of 12 x 768 x 768 weights and the head of 50257 x 768, six times; 12 x L x C x T.
    expected = 6 * (12 * 12 * 768**2 + 50257 * 768) + 12 * 12 * 768 * 1024
    assert model.flops_per_token() == expected
    assert expected == pytest.approx(854.7e6, rel=1e-3)


def test_a_window_bounds_the_flops_of_attention() -> None:
    full, windowed = tiny_model(), tiny_model(attention={"window": 3})

    assert full.flops_per_token() - windowed.flops_per_token() == 12 * 2 * 16 * (12 - 3)


def test_positions_restart_with_each_document() -> None:
    documents = torch.tensor([[7, 7, 7, 8, 8, 9], [0, 1, 2, 2, 2, 2]])

    positions = positions_in_documents(documents)

    assert positions.tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 2, 3]]


def test_one_batch_can_be_learned_by_heart() -> None:
    model = GPT(tiny_config(), VOCAB_SIZE)
    model.init_weights(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    tokens, targets = random_tokens(2, 12), random_tokens(2, 12, seed=2)

    for _ in range(80):
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert loss.item() < 0.1 < math.log(VOCAB_SIZE)


def test_a_model_can_be_compiled_in_place_without_changing_its_state() -> None:
    model = tiny_model()

    model.compile(backend="eager")

    assert list(model.state_dict()) == list(tiny_model().state_dict())
    torch.testing.assert_close(
        model(random_tokens(1, 5)), tiny_model()(random_tokens(1, 5)), atol=1e-5, rtol=1e-5
    )
