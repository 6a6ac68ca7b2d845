"""The ladder by the command line: each rung is trained, resumed, sampled and measured like the others."""

import json
from pathlib import Path

import pytest

BIGRAM = ("--set", "model={name: bigram, context_length: 16}")
RNN = ("--set", "model={name: rnn, n_embd: 16, context_length: 16, dropout: 0.1}")


@pytest.mark.parametrize("rung", [BIGRAM, RNN], ids=["bigram", "rnn"])
def test_a_rung_trains_samples_and_is_measured(project, gptkit, rung):
    trained = gptkit("train", "my.yaml", *rung)
    sampled = gptkit("sample", "--max-new-tokens", "30", "--num-samples", "2")
    figures = json.loads(gptkit("eval", "--json").out)
    planned = json.loads(gptkit("plan", "my.yaml", *rung, "--json").out)

    assert trained.code == 0, trained.err
    assert sampled.code == 0, sampled.err
    assert len(sampled.out.split("---")) == 2 and len(sampled.out) > 40
    assert figures["loss"] > 0 and figures["step"] == 6
    assert planned["total_parameters"] == sum(planned["parameters"].values())


@pytest.mark.parametrize("rung", [BIGRAM, RNN], ids=["bigram", "rnn"])
def test_a_rung_resumes_with_the_bytes_of_an_undisturbed_run(project, gptkit, rung):
    name = "model.safetensors"
    whole = ("--set", "schedule={name: constant, warmup: 0.0}")
    short = (*whole, "--set", "training.max_steps=3")
    assert gptkit("train", "my.yaml", *rung, *whole, "--run-dir", "straight").code == 0
    assert gptkit("train", "my.yaml", *rung, *short, "--run-dir", "parts").code == 0

    resumed = gptkit("train", "my.yaml", *rung, *whole, "--run-dir", "parts", "--resume", "auto")

    assert resumed.code == 0, resumed.err
    straight, parts = (Path(run) / "checkpoints/step_00000006" for run in ("straight", "parts"))
    assert (parts / name).read_bytes() == (straight / name).read_bytes()


def test_a_bigram_learns_what_counting_pairs_gives(project, gptkit):
    settings = ["training.max_steps=500", "training.batch_size=16", "training.eval_every=500"]
    settings.append("optimizer.learning_rate=0.05")
    options = [word for setting in settings for word in ("--set", setting)]

    gptkit("train", "my.yaml", *BIGRAM, *options)
    figures = json.loads(gptkit("eval", "--json").out)

    counted = {one["name"]: one["loss"] for one in figures["baselines"]}["bigram"]
    assert figures["loss"] == pytest.approx(counted, abs=0.05)


def test_another_rung_by_one_setting_drops_the_keys_of_the_first(project, gptkit):
    found = gptkit("config", "show", "my.yaml", "--set", "model.name=rnn", "--json")

    model = json.loads(found.out)["model"]
    assert model["name"] == "rnn"
    assert "n_head" not in model


def test_a_key_of_another_rung_is_refused_with_its_place(project, gptkit):
    found = gptkit("train", "my.yaml", "--dry-run", "--set", "model={name: bigram, n_head: 4}")
    unknown = gptkit("train", "my.yaml", "--dry-run", "--set", "model={name: bigramm}")

    assert found.code == unknown.code == 2
    assert "model.n_head: unknown key" in found.err
    assert "did you mean 'bigram'" in unknown.err


@pytest.mark.parametrize("kind", ["hf", "gguf", "onnx"])
def test_a_lower_rung_is_not_exported_and_says_so(project, gptkit, kind):
    gptkit("train", "my.yaml", *BIGRAM)

    found = gptkit("export", kind, "--out", "exported")

    assert found.code == 2
    assert "cannot be exported" in found.err
