"""The compiled decode step: what torch's operations give, or none and a reason."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.generation.decoder import build_decoder
from gptkit.generation.int8 import Int8Weights, quantise_model
from gptkit.generation.native import STEP
from gptkit.generation.native.model import native_step
from gptkit.model import GPT
from gptkit.model.positions import RotaryPositions
from gptkit.native.build import library
from tests.model.variants import VARIANTS, tiny_config, tiny_model

TEXTS = [[1], [2, 7, 1, 8, 2, 8], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]]
every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
# Widths that are whole in all lanes and for AMX, and one that is neither.
SIZES: dict[str, dict[str, Any]] = {
    "whole": {"n_embd": 128, "n_head": 2},
    "odd": {"n_embd": 54, "n_head": 2, "positions": {"name": "learned"}},
}
every_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
every_kind = pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])

needs_a_compiler = pytest.mark.skipif(
    isinstance(library(STEP), str), reason=f"no compiled step here: {library(STEP)}"
)


def logits_of(model: GPT, int8: Int8Weights | None = None) -> Tensor:
    """Return the logits of two steps of all texts."""
    decoder = build_decoder(model, int8)
    decoder.start(len(TEXTS))
    for text in TEXTS:
        decoder.add(text)
    return torch.stack([decoder.step([5, 6, 7]), decoder.step([4, 4, 9])])


def by_torch(model: GPT, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    with monkeypatch.context() as patch:
        patch.setattr("gptkit.generation.native.model.library", lambda source: "switched off")
        return logits_of(model)


@needs_a_compiler
@every_variant
def test_the_compiled_step_gives_what_torch_does(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(**settings)
    assert native_step(model, {}) is not None

    torch.testing.assert_close(logits_of(model), by_torch(model, monkeypatch), atol=1e-4, rtol=0)


def model_in(kind: str, size: dict[str, Any]) -> tuple[GPT, Int8Weights]:
    model = GPT(tiny_config(**size), 70).eval()
    model.init_weights(0)
    int8 = quantise_model(model) if kind == "int8" else {}
    return model.to(torch.float32 if kind == "float32" else torch.bfloat16), int8


@needs_a_compiler
@every_size
@every_kind
@torch.no_grad()
def test_logits_are_near_those_of_the_same_weights_in_full_precision(
    size: dict[str, Any], kind: str
) -> None:
    model, int8 = model_in(kind, size)

    found = logits_of(model, int8)

    exact = model.float()
    expected = torch.stack(
        [
            torch.stack(
                [
                    exact(torch.tensor([[*text, *new]]))[0, -1]
                    for text, new in zip(TEXTS, added, strict=True)
                ]
            )
            for added in ([[5], [6], [7]], [[5, 4], [6, 4], [7, 9]])
        ]
    )
    error = float((found - expected).norm() / expected.norm())
    assert error < (1e-5 if kind == "float32" else 1e-2)


@needs_a_compiler
@every_size
@every_kind
@torch.inference_mode()
def test_a_row_comes_out_the_same_to_the_bit_among_any_number(
    size: dict[str, Any], kind: str
) -> None:
    model, int8 = model_in(kind, size)
    step = native_step(model, int8)
    assert step is not None
    width, dtype = size["n_embd"], model.head_weight.dtype
    x, positions = torch.randn(64, width), torch.arange(64) % 12
    caches = [torch.randn(64, 12, 2, 2, width // 2).to(dtype) for _ in range(2)]

    tokens = torch.arange(64)
    together = step.bind(positions.clone(), caches)(tokens, x.clone())

    assert together.isfinite().all()
    for count in (1, 2, 3, 7, 8, 9, 16, 17, 33, 63):
        some = step.bind(positions.clone(), caches)(tokens[:count], x[:count].clone())
        assert torch.equal(some, together[:count])
    bound = step.bind(positions[40:].clone(), [cache[40:] for cache in caches])
    last = bound(tokens[40:], x[40:].clone())
    assert torch.equal(last, together[40:])


class Turned(RotaryPositions):
    """Positions of a plugin."""


def test_positions_of_a_plugin_are_left_to_torch() -> None:
    model = tiny_model()
    assert isinstance(model.positions, RotaryPositions)
    model.positions.__class__ = Turned

    assert native_step(model, {}) is None


def test_without_a_compiler_there_is_text_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.generation.native.model.library", lambda source: "no compiler")

    assert native_step(tiny_model(), {}) is None
    assert logits_of(tiny_model()).isfinite().all()
