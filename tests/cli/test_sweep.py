"""gptkit sweep as a user calls it: real processes, tiny runs."""

import json

import pytest

FEW = ("--set", "training.max_steps=2", "--set", "training.sample_tokens=0")


def test_a_grid_is_trained_ranked_and_not_trained_again(project, gptkit):
    arguments = ("sweep", "my.yaml", "--set", "model.n_embd=8,16", *FEW)

    first = gptkit(*arguments, "--json")
    again = gptkit(*arguments)

    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert [trial["settings"]["model.n_embd"] for trial in found["trials"]] == [8, 16]
    assert all(trial["status"] == "done" and trial["val_loss"] > 0 for trial in found["trials"])
    (folder,) = (project / "runs").iterdir()
    page = (folder / "sweep.html").read_text(encoding="utf-8")
    assert "model.n_embd" in page and "trial-002" in page
    # Nothing was trained: no "trial-001 of 2" is said, and each run has one start and its mark.
    assert "of 2" in first.err and "of 2" not in again.err
    starts = json.loads((folder / "trial-001/run.json").read_text(encoding="utf-8"))
    assert starts["sweep"] is True
    rows = again.out.splitlines()
    losses = [float(row.split()[0]) for row in rows[1:3]]
    assert losses == sorted(losses)


def test_a_trial_is_never_the_newest_run(project, gptkit):
    gptkit("train", "my.yaml", *FEW)
    gptkit("sweep", "my.yaml", "--set", "training.seed=1,2", *FEW)

    assert json.loads(gptkit("eval", "--json").out)["run"].endswith("my")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "model.n_layer=2"),
        ("--set", "model.n_layer=2,banana"),
        ("--set", "model.n_layers=2,4"),
        ("--set", "optimizer.learning_rate=1e-4..1e-2"),
        ("--set", "model.n_layer=2,4", "--search", "magic"),
        ("--set", "model.n_layer=2,4", "--search", "random"),
        (),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_written(project, gptkit, arguments):
    result = gptkit("sweep", "my.yaml", *arguments)

    assert result.code == 2
    assert "Traceback" not in result.err
    assert not (project / "runs").exists()


def test_without_optuna_the_extra_is_named(project, gptkit, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)

    result = gptkit(
        "sweep", "my.yaml", "--set", "model.n_layer=1,2", "--search", "optuna", "--trials", "2"
    )

    assert result.code == 2
    assert "gptkit[optuna]" in result.err
