"""One dial on the command line: checked without torch, chosen once, kept on resume."""

import json

import pytest

from gptkit.config import load_config
from gptkit.dial import open_keys

CONFIG = """\
data:
  source: {name: text, paths: [my.txt]}
  tokenizer: {name: char}
model: {depth: 1, n_embd: 32, context_length: 16}
schedule: {name: constant, warmup: 0.0}
training: {max_steps: 4, log_every: 2, sample_tokens: 8}
runtime: {device: cpu, dtype: float32, compile: false}
"""


@pytest.fixture
def dialled(project):
    (project / "my.yaml").write_text(CONFIG, encoding="utf-8")
    return project


def weights(run):
    last = (run / "checkpoints/last").read_text(encoding="utf-8").strip()
    return (run / "checkpoints" / last / "model.safetensors").read_bytes()


def test_a_dry_run_says_what_will_be_chosen_and_writes_nothing(dialled, gptkit):
    before = sorted(dialled.iterdir())

    result = gptkit("train", "my.yaml", "--dry-run")

    assert result.code == 0
    assert "chosen when training starts: " in result.err and "training.batch_size" in result.err
    assert sorted(dialled.iterdir()) == before


def test_config_show_knows_the_shape_and_marks_what_is_open(dialled, gptkit):
    shown = gptkit("config", "show", "my.yaml", "--set", "training.batch_size=3").out

    lines = [line.partition("#")[0].strip() for line in shown.splitlines()]
    assert {"n_layer: 1", "n_embd: 32", "n_head: 1", "batch_size: 3"} <= set(lines)
    assert {"optimizer: (chosen at the start)", "dropout: (chosen at the start)"} <= set(lines)


def test_what_was_chosen_is_said_and_stands_in_the_runs_config(dialled, gptkit):
    result = gptkit("train", "my.yaml")

    config = load_config(dialled / "runs/my/config.yaml")
    assert result.code == 0
    assert f"chosen   batch_size {config.training.batch_size}: " in result.err
    assert open_keys(config) == frozenset()
    assert config.training.max_steps == 4


def test_a_resumed_run_equals_one_that_never_stopped(dialled, gptkit):
    assert gptkit("train", "my.yaml", "--run-dir", "whole").code == 0
    assert (
        gptkit("train", "my.yaml", "--run-dir", "parts", "--set", "training.max_steps=2").code == 0
    )

    resumed = gptkit(
        "train", "my.yaml", "--run-dir", "parts", "--resume", "auto", "--extend-to", "4"
    )

    assert resumed.code == 0, resumed.err
    assert "chosen" not in resumed.err
    assert weights(dialled / "parts") == weights(dialled / "whole")


def test_a_time_budget_alone_chooses_everything(dialled, gptkit):
    text = "".join(CONFIG.splitlines(keepends=True)[:3])
    budget = "training: {time_budget: 0.5s, sample_tokens: 0}\n"
    (dialled / "my.yaml").write_text(text + budget, encoding="utf-8")

    result = gptkit("train", "my.yaml")

    config = load_config(dialled / "runs/my/config.yaml")
    assert result.code == 0, result.err
    assert config.model.depth == config.model.n_layer
    assert "chosen   depth " in result.err and "time_budget (0.5 s) used up" in result.err


def test_a_resumed_time_budget_keeps_its_model_and_takes_more_time(dialled, gptkit):
    settings = ("--set", "training={time_budget: 0.3s, sample_tokens: 0}", "--run-dir", "run")
    assert gptkit("train", "my.yaml", *settings).code == 0
    before = load_config(dialled / "run/config.yaml")

    more = gptkit(
        "train", "my.yaml", "--resume", "auto", "--run-dir", "run",
        "--set", "training={time_budget: 0.6s, sample_tokens: 0}",
    )  # fmt: skip

    after = load_config(dialled / "run/config.yaml")
    assert more.code == 0, more.err
    assert (after.model, after.optimizer) == (before.model, before.optimizer)
    assert after.training.batch_size == before.training.batch_size


def test_a_plan_names_the_choices(dialled, gptkit):
    result = gptkit("plan", "my.yaml", "--json")

    assert result.code == 0, result.err
    assert any(line.startswith("batch_size ") for line in json.loads(result.out)["chosen"])
