"""Preflight before a run: what it refuses, what it remembers, and that it changes nothing."""

import time
from pathlib import Path

import pytest

from gptkit.recipes.train import preflight as recipe

LEAKING = """\
from typing import Literal

from torch.nn import functional as F

from gptkit.model.attention import CausalSelfAttention
from gptkit.model.config import MultiHeadConfig
from gptkit.plugins import register


class LeakingConfig(MultiHeadConfig):
    name: Literal["leaking"] = "leaking"


class Leaking(CausalSelfAttention):
    def forward(self, x, rotation, cache=None, same_document=None):
        ahead = F.pad(x, (0, 0, 0, 1))[:, 1:] if cache is None else x
        return super().forward(x, rotation, cache, same_document) + ahead


register("attention", LeakingConfig, Leaking)
"""


@pytest.fixture
def leaking(project):
    (project / "leaking.py").write_text(LEAKING, encoding="utf-8")
    config = (project / "my.yaml").read_text(encoding="utf-8")
    config = config.replace("dropout: 0.1", "dropout: 0.1, attention: {name: leaking}")
    (project / "my.yaml").write_text(config + "plugins: [leaking.py]\n", encoding="utf-8")
    return project


def weights(folder):
    return (folder / "checkpoints/step_00000006/model.safetensors").read_bytes()


def test_a_plugin_that_sees_the_future_is_refused_and_nothing_is_left(leaking, gptkit):
    found = gptkit("train", "my.yaml")

    assert found.code == 2
    assert "sees tokens that come after it" in found.err
    assert "training.preflight: false" in found.err
    assert not (leaking / "runs").exists()
    assert gptkit("train", "my.yaml", "--set", "training.preflight=false").code == 0


def test_a_run_is_the_same_with_and_without_and_the_second_time(project, gptkit):
    without = ("--set", "training.preflight=false")
    assert gptkit("train", "my.yaml", "--run-dir", "first").code == 0
    assert gptkit("train", "my.yaml", "--run-dir", "again").code == 0
    assert gptkit("train", "my.yaml", "--run-dir", "without", *without).code == 0

    first = weights(Path("first"))
    assert weights(Path("again")) == first
    assert weights(Path("without")) == first


def test_what_has_passed_is_asked_again_only_when_something_changed(project, gptkit, monkeypatch):
    asked = []
    monkeypatch.setattr("gptkit.insight.preflight._future", lambda small: asked.append(1) or "")

    gptkit("train", "my.yaml")
    gptkit("train", "my.yaml")
    assert len(asked) == 1

    gptkit("train", "my.yaml", "--set", "model.bias=true")
    assert len(asked) == 2

    monkeypatch.setattr(recipe, "__version__", "99")
    gptkit("train", "my.yaml")
    assert len(asked) == 3


def test_what_is_merely_odd_is_said_and_trains(project, gptkit):
    found = gptkit("train", "my.yaml", "--set", "optimizer.learning_rate=1e-9")

    assert found.code == 0
    assert "preflight: one batch" in found.err


def test_a_remembered_answer_costs_next_to_nothing(project, gptkit, monkeypatch):
    seconds = []
    plain = recipe.check_before_training

    def timed(*args):
        start = time.perf_counter()
        plain(*args)
        seconds.append(time.perf_counter() - start)

    monkeypatch.setattr("gptkit.recipes.train.train.check_before_training", timed)
    gptkit("train", "my.yaml")
    gptkit("train", "my.yaml")

    assert seconds[1] < 0.1
