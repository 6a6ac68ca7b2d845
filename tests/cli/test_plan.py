"""gptkit plan: what it says, what it advises, and that it begins no run."""

import json
import math

import pytest

from gptkit.recipes.plan import plan as module


@pytest.fixture
def plan(project, gptkit):
    """Return a function that plans the project's config with more settings."""

    def run(*settings):
        options = [word for setting in settings for word in ("--set", setting)]
        found = gptkit("plan", "my.yaml", "--json", *options)
        assert found.code == 0, found.err
        return json.loads(found.out)

    return run


def advised(facts, word):
    return [text for text in facts["warnings"] if text.startswith(word)]


def test_a_plan_says_size_memory_work_time_and_loss_and_begins_no_run(project, plan):
    facts = plan()

    assert facts["total_parameters"] == sum(facts["parameters"].values())
    assert facts["steps"] == 6
    assert facts["tokens"] == 6 * 4 * 16
    assert facts["epochs"] == pytest.approx(6 * 4 / ((facts["train_tokens"] - 1) // 16))
    assert facts["tokens_per_second"] == pytest.approx(4 * 16 / facts["step_seconds"])
    assert facts["seconds"] >= 6 * facts["step_seconds"]
    memory = facts["memory"]
    assert memory["total"] > 50e6 and memory["process"] > 50e6
    assert memory["weights"] >= 4 * facts["total_parameters"]
    assert 0 <= facts["loss"]["low"] < facts["loss"]["high"] <= math.log(facts["vocab_size"])
    assert not (project / "runs").exists()


def test_the_lines_name_every_part(project, gptkit):
    found = gptkit("plan", "my.yaml")

    names = [line.split()[0] for line in found.out.splitlines() if not line.startswith(" ")]
    assert names[:3] == ["model", "work", "memory"]
    assert {"data", "run", "time", "loss", "machine", "better"} <= set(names)


def test_a_time_budget_is_turned_into_steps(plan):
    # Without a limit of its own, the dial would end a run on so small a text before its time.
    facts = plan(
        "training={time_budget: 20s, batch_size: 4, sample_tokens: 0, max_steps: 100000000}"
    )

    assert 5 < facts["steps"] * facts["step_seconds"] <= 20  # evaluations and saves take the rest
    assert facts["seconds"] == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "word", "cure"),
    [
        (["training.max_steps=20000", "model.dropout=0.0"], "overfitting", "model.dropout"),
        (
            ["training.max_steps=20000", "model.preset=speedrun", "model.attention.n_kv_head=null"],
            "n-grams",
            "model.ngram_rows: null",
        ),
        (["training.max_steps=20"], "steps", "training.batch_size"),
        (["model.n_embd=64"], "size", "model.n_embd"),
        (["data.val_fraction=0.02"], "validation", "data.val_fraction"),
        (["optimizer.learning_rate=0.5"], "learning rate", "optimizer.learning_rate"),
        (["optimizer.learning_rate=1e-5"], "learning rate", "optimizer.learning_rate"),
        (["data.tokenizer={name: bpe, vocab_size: 600}"], "vocabulary", "vocab_size"),
    ],
)
def test_advice_names_the_setting_that_mends_it(plan, settings, word, cure):
    (text,) = advised(plan(*settings), word)

    assert cure in text


def test_a_plan_that_does_not_fit_says_what_would_and_tries_nothing(project, gptkit, monkeypatch):
    monkeypatch.setattr(module, "device_memory", lambda device: 400_000_000)
    monkeypatch.setattr(module, "resident_bytes", lambda: 200_000_000)

    settings = ["--set", "model.n_embd=96", "--set", "training.batch_size=2048"]
    found = gptkit("plan", "my.yaml", "--json", *settings)

    facts = json.loads(found.out)
    assert facts["seconds"] is None
    assert "no step was tried" in found.err
    (text,) = advised(facts, "memory")
    assert "training.micro_batch_size" in text


def test_a_wrong_config_is_refused_before_anything_is_prepared(project, gptkit):
    found = gptkit("plan", "my.yaml", "--set", "model.n_layers=2")

    assert found.code == 2
    assert "did you mean" in found.err
    assert not (project / "data").exists()


def test_a_time_proposes_a_run_of_that_time_and_the_command_for_it(project, gptkit):
    found = gptkit("plan", "my.yaml", "--time", "5s")  # of its text 40 epochs take longer
    facts = json.loads(gptkit("plan", "my.yaml", "--time", "5s", "--json").out)

    assert facts["seconds"] == pytest.approx(5, rel=0.1)
    assert facts["chosen"]
    command = found.out.splitlines()[-1]
    assert "gptkit train my.yaml --set training.time_budget=5s" in command
    assert gptkit("plan", "my.yaml", "--time", "soon").code == 2


@pytest.mark.parametrize(
    ("settings", "export"),
    [
        ([], "Qwen3ForCausalLM"),
        (["model.preset=gpt2"], "GPT2LMHeadModel"),
        (["model.preset=speedrun"], ""),
        (["model={name: bigram, context_length: 16}"], ""),
    ],
)
def test_a_plan_says_whether_the_model_can_be_exported(plan, settings, export):
    facts = plan(*settings)

    assert facts["export"] == export
    assert bool(facts["export_problem"]) == (not export)
