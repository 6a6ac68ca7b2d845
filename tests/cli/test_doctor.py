"""gptkit doctor: what the machine can do, and a run's proof that it resumes exactly."""

import json
import random
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gptkit.recipes.doctor import proof
from gptkit.recipes.doctor.kills import choose_moments
from gptkit.recipes.doctor.verdict import compare_files, compare_metrics
from gptkit.runtime import ceilings

REPOSITORY = Path(__file__).resolve().parents[2]
DICE = """
import os
from typing import Literal
from gptkit.plugins import register
from gptkit.training.schedules import ConstantConfig

class DiceConfig(ConstantConfig):
    name: Literal["dice"] = "dice"

    def factor(self, step, max_steps):
        return os.urandom(1)[0] / 255  # not from the seed: no run repeats

register("schedule", DiceConfig)
"""


@pytest.fixture
def quick_ceilings(monkeypatch):
    for name in ("matrix_flops", "attention_flops"):
        monkeypatch.setattr(ceilings, name, partial(getattr(ceilings, name), seconds=0.001))
    short = partial(ceilings.read_bandwidth, seconds=0.001, num_bytes=2**20)
    monkeypatch.setattr(ceilings, "read_bandwidth", short)


@pytest.fixture
def run(project, gptkit, monkeypatch):
    """A run of 6 steps; its checkpoints are of steps 3 and 6."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # for the processes that doctor starts
    assert gptkit("train", "my.yaml").code == 0
    return project / "runs" / "my"


def everything_in(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }  # fmt: skip


def test_the_machine_is_measured_and_nothing_stays(folder, gptkit, quick_ceilings):
    facts = json.loads(gptkit("doctor", "--device", "cpu", "--json").out)

    assert all(facts["gflops"][name] > 0 for name in ("float32", "bfloat16"))
    assert facts["read_gb_per_second"] > 0
    assert facts["attention"]["gflops"] > 0
    assert facts["auto"]["small"]["dtype"] == "float32"
    for key in ("compiled_parts", "compiled_decode_step"):
        assert facts[key] is True or isinstance(facts[key], str)
    assert facts["folders"]["runs"]["locks"] is True
    assert facts["versions"]["torch"] == torch.__version__
    assert list(folder.iterdir()) == []


def test_the_table_says_what_each_figure_is_for(folder, gptkit, quick_ceilings):
    result = gptkit("doctor", "--device", "cpu")

    assert "GFLOP/s" in result.out
    assert "each new token reads all weights once" in result.out
    assert gptkit("doctor", "--device", "tpu").code == 2


def test_a_killed_copy_ends_with_equal_bytes_and_the_run_is_untouched(run, gptkit):
    before = everything_in(run.parent)

    result = gptkit("doctor", run, "--steps", "12", "--kills", "2", "--json")

    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["equal"] is True
    assert len(found["kills"]) == 2
    assert found["step"] == 6
    assert {file["name"] for file in found["comparisons"]} >= {
        "model.safetensors", "optimizer.safetensors", "state.json", "metrics.jsonl",
    }  # fmt: skip
    assert everything_in(run.parent) == before


def test_what_is_not_in_the_checkpoint_is_found(run, project, gptkit):
    (project / "dice.py").write_text(DICE, encoding="utf-8")
    dice = "plugins: [dice.py]\nschedule: {name: dice}\n"
    (project / "dice.yaml").write_text((project / "my.yaml").read_text() + dice, encoding="utf-8")
    assert gptkit("train", "dice.yaml").code == 0

    refused = gptkit("doctor", "runs/dice")
    result = gptkit("doctor", "runs/dice", "--steps", "2", "--kills", "0", "--allow-plugins")

    assert refused.code == 2 and "--allow-plugins" in refused.err
    assert result.code == 1
    assert "tensors differ, first " in result.out
    assert "not equal" in result.err and "a plugin with randomness" in result.err
    assert [path.name for path in (project / "runs").iterdir() if path.name.startswith(".")] == []


def test_ctrl_c_ends_it_and_leaves_nothing(run, gptkit, monkeypatch):
    monkeypatch.setattr(proof, "say", lambda text: signal.raise_signal(signal.SIGINT))

    assert gptkit("doctor", run).code == 130
    assert [path.name for path in run.parent.iterdir()] == ["my"]


def test_a_copy_that_cannot_be_trained_says_why(run, project, gptkit):
    (project / "my.txt").unlink()

    result = gptkit("doctor", run)

    assert result.code == 2
    assert "a copy cannot be trained" in result.err and "my.txt" in result.err


def test_without_a_usable_checkpoint_there_is_nothing_to_prove(run, project, gptkit):
    (project / "runs" / "empty").mkdir()
    (project / "runs" / "empty" / "metrics.jsonl").touch()
    for weights in run.rglob("model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1])

    assert gptkit("doctor", "runs/missing").code == 2
    assert gptkit("doctor", "runs/empty").code == 2
    assert gptkit("doctor", run).code == 3


def test_a_checkpoint_that_goes_while_it_is_copied_makes_way_for_the_next(
    run, tmp_path, monkeypatch
):
    newest = run / "checkpoints" / "step_00000006"
    found = iter([run / "checkpoints" / "step_00000005", newest])
    monkeypatch.setattr(proof, "resolve", lambda path, which, say: next(found))

    copy = proof.copy_newest(run, tmp_path / "copy")

    assert copy == tmp_path / "copy" / "checkpoints" / newest.name
    assert {path.name for path in copy.iterdir()} == {path.name for path in newest.iterdir()}


@pytest.mark.parametrize("inside", ["", "checkpoints", "checkpoints/step_00000003"])
def test_the_copies_are_beside_the_run_never_in_it(run, inside):
    with proof.folder_beside(run / inside) as folder:
        assert folder.parent == run.parent
    assert not folder.exists()


def test_kills_are_spread_over_the_steps_by_the_seed():
    moments = choose_moments(random.Random(1), first_step=100, steps=20, kills=5)

    assert moments == choose_moments(random.Random(1), 100, 20, 5)
    assert moments != choose_moments(random.Random(2), 100, 20, 5)
    assert [moment.step for moment in moments] == sorted(moment.step for moment in moments)
    assert all(100 <= moment.step < 120 for moment in moments)
    assert sum(moment.saving_files is not None for moment in moments) == 1


def test_the_first_different_tensor_is_named_with_the_largest_difference(tmp_path):
    for name, value in (("a", 1.0), ("b", 1.5)):
        tensors = {"w": torch.tensor([0.0]), "x": torch.tensor([value]), "y": torch.tensor(-value)}
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")

    found = compare_files(tmp_path / "a", tmp_path / "b", "model.safetensors")

    assert found == "2 of 3 tensors differ, first x; largest difference 0.5"


@pytest.mark.parametrize(
    ("lines", "finding"),
    [
        ([(1, 2.0), (2, 1.0)], "2 steps, each once: equal losses"),
        ([(1, 2.0), (2, 1.5)], "step 2: train_loss: 1.0 and 1.5"),
        ([(1, 2.0), (2, 1.0), (2, 1.0)], "steps [1, 2] and [1, 2, 2]"),
    ],
)
def test_losses_and_steps_of_the_metrics_are_compared(tmp_path, lines, finding):
    for name, rows in (("a", [(1, 2.0), (2, 1.0)]), ("b", lines)):
        (tmp_path / name).mkdir()
        text = "".join(json.dumps({"step": s, "train_loss": x}) + "\n" for s, x in rows)
        (tmp_path / name / "metrics.jsonl").write_text(text, encoding="utf-8")

    assert compare_metrics(tmp_path / "a", tmp_path / "b").finding == finding
