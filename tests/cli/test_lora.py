"""gptkit finetune with an adapter, and with frozen parameters."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

import gptkit as library

LORA = ("--set", "adapter={name: lora, rank: 2, dropout: 0.1}")


def step(run, number):
    return f"{run}/checkpoints/step_{number:08d}"


@pytest.fixture
def adapter(chat_project, gptkit):
    """A run whose checkpoints hold an adapter."""
    result = gptkit("finetune", "ft.yaml", "--run-dir", "runs/lora", *LORA)
    assert result.code == 0, result.err
    return chat_project


def test_a_checkpoint_holds_the_adapter_alone(adapter):
    names = load_file(step("runs/lora", 6) + "/model.safetensors").keys()
    moments = load_file(step("runs/lora", 6) + "/optimizer.safetensors").keys()

    assert all("lora_" in name or name.endswith(".new_rows") for name in names)
    assert "token_embedding.weight.new_rows" in names
    assert all("lora_" in name for name in moments)


def test_it_resumes_to_the_same_bytes(adapter, gptkit):
    shutil.copytree("runs/lora", "runs/cut")

    rest = gptkit("finetune", "ft.yaml", "--resume", step("runs/cut", 3), *LORA)

    assert rest.code == 0, rest.err
    whole, cut = (adapter / step(run, 6) for run in ("runs/lora", "runs/cut"))
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == {
        p.name: p.read_bytes() for p in cut.iterdir()
    }


def test_every_reader_sees_the_merged_model(adapter, gptkit):
    rows = [
        json.loads(line) for line in (adapter / "runs/lora/metrics.jsonl").open(encoding="utf-8")
    ]
    scored = gptkit("eval", "runs/lora", "--checkpoint", "last", "--json")
    base = library.load("runs/base", dtype="float32")
    loaded = library.load("runs/lora", dtype="float32")

    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["loss"] == pytest.approx(rows[-1]["val_loss"], abs=1e-5)
    assert not any("lora" in name for name in loaded.model.state_dict())
    assert not torch.equal(
        loaded.model.blocks[0].mlp.up_proj.weight, base.model.blocks[0].mlp.up_proj.weight
    )
    known = base.tokenizer.vocab_size
    assert torch.equal(
        loaded.model.token_embedding.weight[:known], base.model.token_embedding.weight
    )
    assert gptkit("sample", "runs/lora", "--max-new-tokens", "3").code == 0


def test_an_adapter_can_be_begun_with(adapter, gptkit):
    result = gptkit(
        "finetune", "ft.yaml", "--run-dir", "runs/more", "--set", "model.init_from=runs/lora"
    )

    assert result.code == 0, result.err


def test_without_its_base_it_says_what_is_missing(adapter, gptkit):
    shutil.rmtree("runs/base/checkpoints/step_00000002")

    result = gptkit("sample", "runs/lora")

    assert result.code == 3
    assert "the model that this one adapts is not there" in result.err


def test_another_base_is_noticed(adapter, gptkit):
    shutil.rmtree("runs/base")
    assert gptkit("train", "base.yaml", "--set", "training.seed=3").code == 0

    result = gptkit("sample", "runs/lora")

    assert result.code == 3
    assert "no longer holds the weights" in result.err


def test_a_base_that_trained_on_is_found_by_its_hash(adapter, gptkit):
    more = gptkit(
        "train",
        "base.yaml",
        "--run-dir",
        "runs/base",
        "--extend-to",
        "4",
        "--set",
        "schedule={name: constant}",
    )
    assert more.code == 0, more.err

    assert gptkit("sample", "runs/lora", "--max-new-tokens", "3").code == 0


def test_an_adapter_cannot_be_changed_on_the_way(adapter, gptkit):
    result = gptkit(
        "finetune", "ft.yaml", "--resume", "runs/lora", "--set", "adapter={name: lora, rank: 4}"
    )

    assert result.code == 2
    assert "adapter.rank: 2 -> 4" in result.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["adapter={name: lora, targets: [query]}"], "adapter.targets: no linear layer is 'query'"),
        (
            ["adapter={name: lora}", "freeze=[blocks.0.*]"],
            "an adapter freezes the whole model already",
        ),
        (["freeze=[nothing]"], "no parameter matches 'nothing'"),
        (["adapter={name: lora, rank: 0}"], "adapter.rank"),
    ],
)
def test_what_cannot_be_adapted_is_said(chat_project, gptkit, settings, words):
    result = gptkit("finetune", "ft.yaml", *[part for s in settings for part in ("--set", s)])

    assert result.code == 2
    assert words in result.err


def test_frozen_parameters_stay(chat_project, gptkit):
    result = gptkit("finetune", "ft.yaml", "--set", "freeze=[blocks.0.*]")

    before = load_file(step("runs/base", 2) + "/model.safetensors")
    after = load_file(step("runs/ft", 6) + "/model.safetensors")
    assert result.code == 0, result.err
    for name, weight in before.items():
        if name.startswith("blocks.0."):
            assert torch.equal(weight, after[name]), name
    assert not torch.equal(
        before["blocks.1.mlp.up_proj.weight"], after["blocks.1.mlp.up_proj.weight"]
    )
