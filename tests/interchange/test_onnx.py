"""Graphs for ONNX runtimes. The long form: benchmarks/interchange.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.interchange.onnx import check_onnx, session, write_onnx
from gptkit.interchange.onnx_proof import check_form, run_in_parts, with_onnxruntime
from gptkit.interchange.proof import require
from gptkit.model import GPT, ModelConfig
from tests.interchange.conftest import make_bpe, random_model

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"ONNX takes the package {package} (gptkit[onnx])")

SHAPES: dict[str, dict[str, Any]] = {
    "grouped": {"attention": {"n_kv_head": 2, "window": 7}, "logit_softcap": 10.0},
    "gpt2": {"preset": "gpt2"},
}


@pytest.fixture(scope="module", params=SHAPES)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, GPT]:
    """A written graph of one layer and its model."""
    model = random_model(make_bpe(), n_layer=1, **SHAPES[request.param])
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(path, model)
    return path, model


def test_onnxruntime_computes_the_same_from_every_past(written: tuple[Path, GPT]) -> None:
    path, model = written

    found = with_onnxruntime(path, model)

    assert found is not None and len(found) == 4
    require([*found, *check_form(path)])
    assert max(comparison.largest for comparison in found) <= 1e-4


@pytest.mark.parametrize("parts", [[24], [1] * 24, [23, 1], [1, 23], [10, 1, 1, 12]])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_text_may_be_read_in_any_parts(
    parts: list[int], batch_size: int, written: tuple[Path, GPT]
) -> None:
    path, model = written
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(model.vocab_size, (batch_size, 24), generator=generator)

    logits = run_in_parts(session(path), tokens, parts)

    torch.testing.assert_close(logits, model(tokens).detach(), atol=1e-4, rtol=0)


def test_inputs_and_outputs_have_the_names_of_optimum(written: tuple[Path, GPT]) -> None:
    opened = session(written[0])

    assert [entry.name for entry in opened.get_inputs()] == [
        "input_ids",
        "past_key_values.0.key",
        "past_key_values.0.value",
    ]
    assert [entry.name for entry in opened.get_outputs()] == [
        "logits",
        "present.0.key",
        "present.0.value",
    ]


def test_one_file_holds_all(written: tuple[Path, GPT]) -> None:
    assert [path.name for path in written[0].parent.iterdir()] == ["model.onnx"]


def test_what_a_graph_cannot_remember_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.embedding_window: 4 .*ONNX.*: 1"):
        check_onnx(ModelConfig.model_validate({"preset": "speedrun"}))
