"""gptkit export onnx, as a user calls it."""

from copy import deepcopy

import pytest
from torch import nn

from gptkit.interchange import extras
from gptkit.interchange import onnx as onnx_room
from tests.cli.conftest import CONFIG

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason=f"ONNX takes the package {package} (gptkit[onnx])")


@pytest.fixture
def trained(project, train_once):
    text = CONFIG.replace("max_steps: 6", "max_steps: 1").replace("n_layer: 2", "n_layer: 1")
    (project / "my.yaml").write_text(text, "utf-8")
    train_once("my.yaml")
    return project


def test_an_export_is_proved_by_onnxruntime(trained, gptkit):
    result = gptkit("export", "onnx", "--out", "图/model.onnx")

    assert result.code == 0, result.err
    assert "log-probabilities, one token at a time" in result.out
    assert [path.name for path in (trained / "图").iterdir()] == ["model.onnx"]


def test_a_wrong_graph_is_not_kept(trained, gptkit, monkeypatch):
    original = onnx_room._mask

    def blind(num_past, num_new, window):
        return original(num_past, num_new, 1)

    monkeypatch.setattr(onnx_room, "_mask", blind)

    result = gptkit("export", "onnx", "--out", "new/model.onnx")

    assert result.code == 1 and "was not kept" in result.err
    assert not (trained / "new").exists()


def test_a_graph_that_lost_its_qk_norm_is_not_kept(trained, gptkit, monkeypatch):
    original = onnx_room.WithPast

    def lost(model):
        copy = deepcopy(model)
        for block in copy.blocks:
            block.attention.q_norm = nn.Identity()
        return original(copy)

    monkeypatch.setattr(onnx_room, "WithPast", lost)

    result = gptkit("export", "onnx", "--out", "new/model.onnx")

    assert result.code == 1 and "log-probabilities" in result.err, result.err
    assert not (trained / "new").exists()


def test_without_onnxruntime_a_warning_says_what_was_not_proved(trained, gptkit, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)

    result = gptkit("export", "onnx", "--out", "m.onnx")

    assert result.code == 0 and "pip install 'gptkit[onnx]'" in result.err


def test_without_onnx_the_extra_is_named(trained, gptkit, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(onnx_room, "import_module", missing)

    result = gptkit("export", "onnx", "--out", "m.onnx")

    assert result.code == 2 and "pip install 'gptkit[onnx]'" in result.err
