"""Compiled parts of a model: what torch's operations give, forward and backward."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gptkit.model import GPT
from gptkit.model.native import PARTS
from gptkit.native.build import library
from tests.model.variants import VARIANTS, VOCAB_SIZE, tiny_model

pytestmark = pytest.mark.skipif(
    isinstance(library(PARTS), str), reason=f"nothing is compiled here: {library(PARTS)}"
)
every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def results(model: GPT, documents: Tensor | None, *, half: bool = False) -> list[Tensor]:
    """Return logits and all gradients of one batch, in float32."""
    tokens = torch.arange(36).view(3, 12) * 7 % VOCAB_SIZE
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits = model(tokens, documents=documents)
    F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten()).backward()
    gradients = [p.grad.float() for p in model.parameters() if p.grad is not None]
    return [logits.detach().float(), *gradients]


@every_variant
@pytest.mark.parametrize("documents", [None, torch.arange(36).view(3, 12) // 5])
def test_a_model_and_its_gradients_are_those_of_torch(
    settings: dict[str, Any], documents: Tensor | None, by_torch: Callable[[], None]
) -> None:
    model = tiny_model(**settings)

    compiled = results(model, documents)

    by_torch()
    torch.testing.assert_close(compiled, results(model, documents), atol=1e-5, rtol=1e-4)


@every_variant
def test_in_half_precision_they_are_as_near_to_the_exact_ones_as_torchs(
    settings: dict[str, Any], by_torch: Callable[[], None]
) -> None:
    model = tiny_model(**settings)

    compiled = results(model, None, half=True)

    by_torch()
    torchs, exact = results(model, None, half=True), results(model, None)
    off, torchs_off = (
        sum(float((a - b).square().sum()) for a, b in zip(found, exact, strict=True))
        for found in (compiled, torchs)
    )
    assert 0 < off < 1.5 * torchs_off


def test_gradients_of_many_rows_are_the_same_with_several_threads(
    threads: int, by_torch: Callable[[], None]
) -> None:
    model = tiny_model(n_embd=256, n_head=4, context_length=128)
    tokens = torch.arange(1024).view(8, 128) % VOCAB_SIZE

    def gradients() -> list[Tensor]:
        model.zero_grad()
        model(tokens).square().mean().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    compiled, again = gradients(), gradients()

    torch.testing.assert_close(compiled, again, atol=0, rtol=0)
    by_torch()
    torch.testing.assert_close(compiled, gradients(), atol=1e-5, rtol=1e-3)


def test_weights_of_half_precision_get_gradients_of_their_own_kind(
    by_torch: Callable[[], None],
) -> None:
    model = tiny_model().bfloat16()

    compiled = results(model, None)

    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.bfloat16}
    by_torch()
    torch.testing.assert_close(compiled, results(model, None), atol=0.02, rtol=0.1)


def test_what_is_not_finite_stays_so() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.token_embedding.weight[3, 0] = torch.nan

    logits, *_ = results(model, None)

    assert not logits.isfinite().all()
