"""gptkit export and import, as a user calls them."""

import json

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from gptkit import load
from gptkit.interchange import extras


def shown(result):
    """Return the rows of the proof: what was compared -> the largest difference."""
    rows = [line.split("  ") for line in result.out.splitlines()[1:]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    return {row[0]: float(row[2]) for row in cells}


def test_an_export_is_proved_by_transformers_and_loads_there(trained, gptkit):
    result = gptkit("export", "hf", "--out", "out")

    assert result.code == 0, result.err
    name = f"transformers {transformers.__version__}"
    proof = shown(result)
    assert proof[f"{name}: log-probabilities"] <= 1e-5
    assert proof[f"{name}: keys missing or unexpected"] == 0
    model = transformers.AutoModelForCausalLM.from_pretrained(trained / "out")
    assert type(model).__name__ == "Qwen3ForCausalLM"
    card = (trained / "out/README.md").read_text(encoding="utf-8")
    assert "license:" in card and "my.txt" in card and "validation loss" in card
    assert str(trained) not in card and "special tokens stays text" in card


def test_an_export_becomes_a_run_again_that_samples_evaluates_and_trains(trained, gptkit):
    gptkit("export", "hf", "--out", "中文 模型")

    result = gptkit("import", "hf", "中文 模型")

    assert result.code == 0, result.err
    assert shown(result)["tokenizers: tokenizer.json"] == 0
    run = "runs/中文-模型"
    mine = json.loads(gptkit("eval", "runs/my", "--data", "my.txt", "--json").out)
    theirs = json.loads(gptkit("eval", run, "--data", "my.txt", "--json").out)
    assert theirs["loss"] == mine["loss"] and theirs["run"] == run
    assert gptkit("sample", run, "--max-new-tokens", "5").code == 0
    (trained / "other.yaml").write_text(
        "data: {source: {name: text, paths: [my.txt]}}\n"
        "training: {max_steps: 2, batch_size: 4, sample_tokens: 4}\nruntime: {device: cpu}\n",
        encoding="utf-8",
    )
    trains = gptkit("train", "other.yaml", "--set", f"model.init_from={run}")
    assert trains.code == 0, trains.err
    resumed = gptkit("train", "other.yaml", "--set", f"model.init_from={run}", "--extend-to", "3")
    assert resumed.code == 0, resumed.err


def test_without_data_an_imported_run_says_what_to_do(trained, gptkit):
    gptkit("export", "hf", "--out", "out")
    gptkit("import", "hf", "out")

    result = gptkit("eval", "runs/out")

    assert result.code == 2 and "--data my.txt" in result.err


def test_the_shape_of_the_other_model_stands_unless_the_config_has_its_own(trained, gptkit):
    gptkit("export", "hf", "--out", "out")
    gptkit("import", "hf", "out")
    data = "data: {source: {name: text, paths: [my.txt]}}\n"
    (trained / "other.yaml").write_text(data, encoding="utf-8")
    settings = ("--set", "model.init_from=runs/out")

    shape = gptkit("config", "show", "other.yaml", *settings, "--json")
    mismatch = gptkit("train", "other.yaml", *settings, "--set", "model.n_embd=32")

    model = json.loads(shape.out)["model"]
    assert (model["n_layer"], model["n_embd"], model["context_length"]) == (2, 16, 16)
    assert mismatch.code == 2 and "model.n_embd: 32" in mismatch.err


def test_nothing_that_exists_is_overwritten(trained, gptkit):
    (trained / "out").mkdir()
    (trained / "out/kept").write_text("x", encoding="utf-8")

    result = gptkit("export", "hf", "--out", "out")

    assert result.code == 2 and "exists already" in result.err
    assert [path.name for path in (trained / "out").iterdir()] == ["kept"]


def test_a_name_that_the_system_does_not_take_is_said(trained, gptkit):
    result = gptkit("export", "hf", "--out", "x" * 300)

    assert result.code == 2 and "cannot be made" in result.err and "Traceback" not in result.err


@pytest.mark.parametrize("out", [".", "empty/../empty"])
def test_an_empty_folder_is_filled_but_not_the_current_one(out, trained, gptkit, monkeypatch):
    (trained / "empty").mkdir()
    if out == ".":
        monkeypatch.chdir(trained / "empty")

    result = gptkit("export", "hf", trained / "runs/my", "--out", out, "--no-verify")

    assert result.code == (2 if out == "." else 0), result.err
    assert (trained / "empty/config.json").exists() == (out != ".")


def test_what_cannot_be_exported_is_refused_by_name_and_nothing_is_written(project, gptkit):
    gptkit("train", "my.yaml", "--set", "model.logit_softcap=15", "--set", "training.max_steps=1")

    result = gptkit("export", "hf", "--out", "out")

    assert result.code == 2
    assert "model.logit_softcap: 15" in result.err and "Qwen3ForCausalLM" in result.err
    assert not (project / "out").exists()


@pytest.mark.parametrize("path", ["missing/folder", "no such model", "..", "my.txt"])
def test_what_is_no_model_is_refused(path, project, gptkit):
    result = gptkit("import", "hf", path)

    assert result.code == 2 and "Traceback" not in result.err
    assert not (project / "runs").exists()


def test_a_name_of_the_hub_says_offline_what_to_do(project, gptkit, monkeypatch):
    import huggingface_hub

    def refuse(name, **settings):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)

    result = gptkit("import", "hf", "openai-community/gpt2")

    assert result.code == 2
    assert "no network" in result.err and "HF_ENDPOINT" in result.err


def test_a_model_without_tokenizer_is_read_by_bytes_and_says_so(project, gptkit):
    config = transformers.GPT2Config(vocab_size=300, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(project / "bare")

    result = gptkit("import", "hf", "bare")

    assert result.code == 0 and "byte by byte" in result.err
    assert gptkit("eval", "--data", "my.txt").code == 0


def test_a_model_of_transformers_has_here_the_loss_that_it_has_there(project, gptkit):
    config = transformers.GPT2Config(vocab_size=300, n_positions=16, n_embd=32, n_layer=2, n_head=2)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(0, 0.2)
    theirs.save_pretrained(project / "bare")
    gptkit("import", "hf", "bare")
    text = (project / "my.txt").read_text(encoding="utf-8")
    tokens = torch.tensor(load("runs/bare", device="cpu").tokenizer.encode(text))

    found = json.loads(gptkit("eval", "--data", "my.txt", "--json").out)

    windows = [tokens[i : i + 17] for i in range(0, len(tokens) - 1, 16)]
    with torch.no_grad():
        nats = sum(
            cross_entropy(theirs(w[None, :-1]).logits[0], w[1:], reduction="sum") for w in windows
        )
    assert found["tokens"] == len(tokens) - 1
    assert found["loss"] == pytest.approx(float(nats) / found["tokens"], abs=1e-4)


def test_without_transformers_the_files_are_checked_and_a_warning_says_what_was_not(
    trained, gptkit, monkeypatch
):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)

    result = gptkit("export", "hf", "--out", "out")

    assert result.code == 0
    assert set(shown(result)) == {
        f"read back: {what}" for what in ("weights", "settings", "tokenizer")
    }
    assert "transformers is not installed (pip install 'gptkit[hf]')" in result.err


def test_a_transformers_that_does_not_load_is_as_none(trained, gptkit, monkeypatch):
    def broken(package):
        raise ImportError("tokenizers>=0.22 is required\nand more")

    monkeypatch.setattr(extras, "import_module", broken)

    result = gptkit("export", "hf", "--out", "out")
    back = gptkit("import", "hf", "out")

    assert (result.code, back.code) == (0, 0)
    for err in (result.err, back.err):
        assert "cannot be imported: tokenizers>=0.22 is required (pip install" in err


def test_the_proof_is_left_out_only_by_asking(trained, gptkit):
    result = gptkit("export", "hf", "--out", "out", "--no-verify", "--dtype", "bfloat16")

    assert (result.code, result.out) == (0, "")
    assert json.loads((trained / "out/config.json").read_text("utf-8"))["torch_dtype"] == "bfloat16"
