"""The whole path: train, then sample and eval with nothing else; again; resumed; from Python."""

import io
import json
import subprocess
import sys

import pytest


def metrics_of(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_train_then_sample_and_eval_with_nothing_else(project, gptkit):
    trained = gptkit("train", "my.yaml")
    sampled = gptkit("sample", "--temperature", "0.8", "--max-new-tokens", "20")
    evaluated = gptkit("eval", "--json")

    assert (trained.code, sampled.code, evaluated.code) == (0, 0, 0)
    assert len(sampled.out) > 10
    assert "step 6" in sampled.err
    figures = json.loads(evaluated.out)
    assert set(figures) >= {
        "loss", "perplexity", "bits_per_byte", "accuracy", "tokens", "bytes", "split", "step", "run",
    }  # fmt: skip
    assert figures["split"] == "val"
    rows = metrics_of(project / "runs/my")
    assert [row["step"] for row in rows] == [2, 3, 4, 6]
    assert rows[-1]["val_loss"] == pytest.approx(figures["loss"], abs=1e-5)
    assert rows[-1]["tokens"] == 6 * 4 * 16


def test_a_run_folder_holds_what_the_contract_says(project, gptkit):
    gptkit("train", "my.yaml")

    run = project / "runs/my"
    assert (run / "checkpoints/last").read_text(encoding="utf-8").strip() == "step_00000006"
    checkpoint = run / "checkpoints/step_00000006"
    assert {path.name for path in checkpoint.iterdir()} == {
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "config.yaml",
        "tokenizer.json",
        "MANIFEST.json",
    }
    assert {"config.yaml", "metrics.jsonl", "checkpoints", "samples", "log.txt"} <= {
        path.name for path in run.iterdir()
    }
    assert (run / "config.yaml").read_bytes() == (checkpoint / "config.yaml").read_bytes()


def test_a_second_run_takes_the_next_name_and_is_the_newest(project, gptkit):
    gptkit("train", "my.yaml")
    gptkit("train", "my.yaml", "--set", "training.seed=2")

    assert (project / "runs/my-2").is_dir()
    assert json.loads(gptkit("eval", "--json").out)["run"].endswith("my-2")
    assert json.loads(gptkit("eval", "runs/my", "--json").out)["run"].endswith("my")


def test_a_given_run_folder_that_holds_a_run_is_refused_without_resume(project, gptkit):
    assert gptkit("train", "my.yaml", "--run-dir", "here").code == 0

    again = gptkit("train", "my.yaml", "--run-dir", "here")

    assert again.code == 2
    assert "--resume" in again.err


def test_resuming_gives_the_bytes_of_a_run_that_was_not_stopped(project, gptkit):
    # A schedule that does not look at the end, so that stopping early changes nothing else.
    schedule = ("--set", "schedule={name: constant, warmup_steps: 2}")
    for steps in (3, 5, 9):
        part = gptkit(
            "train", "my.yaml", "--run-dir", "parts", "--resume", "auto", *schedule,
            "--set", f"training.max_steps={steps}",
        )  # fmt: skip
        assert part.code == 0
    whole = gptkit(
        "train", "my.yaml", "--run-dir", "whole", *schedule, "--set", "training.max_steps=9"
    )

    assert whole.code == 0
    for name in ("model.safetensors", "optimizer.safetensors"):
        ours = (project / "parts/checkpoints/step_00000009" / name).read_bytes()
        assert ours == (project / "whole/checkpoints/step_00000009" / name).read_bytes()
    losses = [
        {row["step"]: row["train_loss"] for row in metrics_of(project / run)}
        for run in ("parts", "whole")
    ]
    assert losses[0] | losses[1] == losses[0]


def test_a_finished_run_is_complete(project, gptkit):
    gptkit("train", "my.yaml")

    again = gptkit("train", "my.yaml", "--resume", "auto")

    assert again.code == 0
    assert "complete" in again.err
    assert not (project / "runs/my-2").exists()


def test_resuming_an_older_checkpoint_gives_up_the_later_ones(project, gptkit):
    gptkit("train", "my.yaml", "--set", "training.keep_checkpoints=9")
    run = project / "runs/my"

    result = gptkit(
        "train",
        "my.yaml",
        "--resume",
        run / "checkpoints/step_00000003",
        "--set",
        "training.max_steps=4",
    )

    assert result.code == 0
    assert [row["step"] for row in metrics_of(run)] == [2, 3, 4]
    assert (run / "checkpoints/last").read_text(encoding="utf-8").strip() == "step_00000004"
    assert not (run / "checkpoints/step_00000006").exists()


def test_resume_auto_without_a_run_starts_afresh(project, gptkit):
    assert gptkit("train", "my.yaml", "--resume", "auto").code == 0
    assert (project / "runs/my").is_dir()


def test_a_changed_model_is_refused_on_resume_and_a_changed_rate_is_shown(project, gptkit):
    gptkit("train", "my.yaml")

    refused = gptkit("train", "my.yaml", "--resume", "auto", "--set", "model.n_embd=32")
    applied = gptkit(
        "train", "my.yaml", "--resume", "auto", "--extend-to", "8", "--set", "optimizer.learning_rate=1e-3",
    )  # fmt: skip

    assert refused.code == 2
    assert "model.n_embd" in refused.err and "16" in refused.err and "32" in refused.err
    assert applied.code == 0
    assert "optimizer.learning_rate" in applied.err
    assert metrics_of(project / "runs/my")[-1]["step"] == 8


def test_a_checkpoint_folder_samples_where_it_is_moved(project, gptkit, tmp_path):
    gptkit("train", "my.yaml")
    elsewhere = tmp_path / "elsewhere"
    (project / "runs/my/checkpoints/step_00000006").rename(elsewhere)

    result = gptkit("sample", elsewhere, "--prompt", "the ", "--max-new-tokens", "5")

    assert result.code == 0
    assert result.out.startswith("the ")


def test_samples_are_parted_and_the_same_for_the_same_seed(project, gptkit):
    gptkit("train", "my.yaml")
    args = (
        "sample",
        "--prompt",
        "the ",
        "--max-new-tokens",
        "9",
        "--num-samples",
        "3",
        "--seed",
        "7",
    )

    first, second = gptkit(*args), gptkit(*args)

    assert first.out == second.out
    assert first.out.count("\n---\n") == 2


def test_sample_prints_json_and_nothing_else(project, gptkit):
    gptkit("train", "my.yaml")

    result = gptkit("sample", "--prompt", "the ", "--max-new-tokens", "5", "--json")

    answer = json.loads(result.out)
    assert answer["prompt"] == "the "
    assert len(answer["samples"]) == 1


@pytest.mark.parametrize(
    "args", [("-",), ("runs/my", "-"), ("--prompt", "-"), ("--prompt-file", "-")]
)
def test_a_prompt_comes_from_standard_input(args, project, gptkit, monkeypatch):
    gptkit("train", "my.yaml")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the lazy"), encoding="utf-8"))

    result = gptkit("sample", *args, "--max-new-tokens", "3")

    assert result.code == 0
    assert result.out.startswith("the lazy")


def test_a_prompt_with_unseen_characters_is_refused(project, gptkit):
    gptkit("train", "my.yaml")

    result = gptkit("sample", "--prompt", "é")

    assert result.code == 2
    assert "U+00E9" in result.err


def test_eval_reads_another_text(project, gptkit):
    gptkit("train", "my.yaml")
    (project / "other.txt").write_text("the lazy foxes jump.\n" * 9, encoding="utf-8")

    figures = json.loads(gptkit("eval", "--data", "other.txt", "--json").out)

    assert figures["tokens"] == 21 * 9 - 1


def test_a_dry_run_writes_nothing_and_needs_no_torch(project):
    code = (
        "import sys; sys.argv = ['gptkit', 'train', 'my.yaml', '--dry-run']\n"
        "from gptkit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    before = sorted(project.rglob("*"))

    subprocess.run([sys.executable, "-c", code], check=True)

    assert sorted(project.rglob("*")) == before


def test_a_run_that_compiles_nothing_does_not_import_the_compiler(project):
    code = (
        "import sys; sys.argv = ['gptkit', 'train', 'my.yaml', '--set', 'optimizer.name={}']\n"
        "from gptkit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )

    for optimizer in ("adamw", "muon"):
        subprocess.run([sys.executable, "-c", code.format(optimizer)], check=True)


def test_a_model_is_loaded_without_the_compiler(project, gptkit):
    gptkit("train", "my.yaml")
    code = (
        "import sys; sys.argv = ['gptkit', 'sample', '--max-new-tokens', '3']\n"
        "from gptkit.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_prepare_says_what_and_where_and_clear_removes_it(project, gptkit):
    prepared = gptkit("prepare", "my.yaml")
    cleared = gptkit("prepare", "--clear")

    assert prepared.code == cleared.code == 0
    assert "data" in prepared.out and "train" in prepared.out
    assert not list(project.glob("data/prepared/*"))


def test_the_tokenizer_commands_round_trip(project, gptkit):
    assert gptkit("tokenizer", "train", "my.yaml", "--out", "t.json").code == 0

    ids = gptkit("tokenizer", "encode", "t.json", "--text", "lazy dogs").out
    text = gptkit("tokenizer", "decode", "t.json", "--tokens", ids.strip()).out

    assert text == "lazy dogs\n"


def test_from_python(project):
    import gptkit

    run = gptkit.train("my.yaml", set={"training.max_steps": 4})
    loaded = gptkit.load("runs/my", device="cpu", dtype="float32")

    assert run.metrics[-1]["step"] == 4
    assert loaded.step == 4
    text = loaded.generate("the ", max_new_tokens=6, temperature=0.8, seed=1)
    assert text == "".join(loaded.stream("the ", max_new_tokens=6, temperature=0.8, seed=1))
    assert len(loaded.generate("the ", max_new_tokens=6, num_samples=3)) == 3
