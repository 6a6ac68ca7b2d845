"""gptkit compare as a user calls it."""

import json

import pytest


@pytest.fixture
def runs(project, gptkit):
    for seed in (1, 2):
        gptkit("train", "my.yaml", "--set", f"training.seed={seed}", "--run-dir", f"runs/a{seed}")
    gptkit("train", "my.yaml", "--set", "model.n_embd=8", "--run-dir", "runs/b")
    return project / "runs"


def test_two_runs_are_compared_with_what_differs_and_a_page(runs, gptkit):
    result = gptkit("compare", "runs/a1", "runs/b")

    assert result.code == 0
    assert "model.n_embd: 16 | 8" in result.out
    assert "these checkpoints differ by" in result.out
    assert "nothing follows about the recipes" in result.out
    page = (runs / "compare-a1-b.html").read_text(encoding="utf-8")
    assert "model.n_embd" in page and "by seconds" in page


def test_the_losses_are_those_of_eval(runs, gptkit):
    compared = json.loads(gptkit("compare", "runs/a1", "runs/b", "--json").out)
    evaluated = json.loads(gptkit("eval", "runs/b", "--json").out)

    assert compared["runs"][1]["loss"] == pytest.approx(evaluated["loss"], abs=1e-6)
    difference = compared["runs"][1]["loss"] - compared["runs"][0]["loss"]
    assert compared["findings"][0]["difference"] == pytest.approx(difference, abs=1e-9)


def test_a_run_does_not_differ_from_itself(runs, gptkit):
    found = json.loads(gptkit("compare", "runs/a1", "runs/a1", "--json").out)

    assert found["findings"] == []
    assert "one recipe" in found["summary"][0]


def test_a_change_that_changes_nothing_makes_no_difference(runs, gptkit):
    settings = ("--set", "training.seed=1", "--set", "training.log_every=3")
    gptkit("train", "my.yaml", *settings, "--run-dir", "runs/c")

    found = json.loads(gptkit("compare", "runs/a1", "runs/c", "--json").out)

    assert found["findings"][0]["difference"] == 0
    assert found["findings"][0]["winner"] is None


@pytest.mark.parametrize("arguments", [("runs/a1",), ("runs/a1", "nowhere"), ()])
def test_what_cannot_be_compared_is_refused(runs, gptkit, arguments):
    result = gptkit("compare", *arguments)

    assert result.code == 2
    assert "Traceback" not in result.err
