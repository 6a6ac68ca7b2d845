"""gptkit finetune on pairs of answers: train's loop, with another objective."""

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.cli.chatting import pair, write_chat

LORA = ("--set", "adapter={name: lora, rank: 2, dropout: 0.1}")
SHORT = ("--set", "training.max_steps=1", "--set", "training.sample_tokens=0")


def files(run):
    return {path.name: path.read_bytes() for path in (run / "checkpoints/step_00000006").iterdir()}


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")]


@pytest.mark.parametrize("adapter", [(), LORA], ids=["full", "lora"])
def test_a_model_learns_to_prefer_and_resumes_to_the_same_bytes(pair_project, gptkit, adapter):
    whole = gptkit("finetune", "dpo.yaml", "--run-dir", "whole", *adapter)
    shutil.copytree("whole", "cut")
    rest = gptkit("finetune", "dpo.yaml", "--resume", "cut/checkpoints/step_00000003", *adapter)
    scored = gptkit("eval", "whole", "--checkpoint", "last", "--json")

    assert (whole.code, rest.code, scored.code) == (0, 0, 0), whole.err + rest.err + scored.err
    assert files(pair_project / "whole") == files(pair_project / "cut")
    first, last = [row for row in rows(pair_project / "whole") if "val_loss" in row]
    assert last["val_loss"] < first["val_loss"] < math.log(2)
    assert 0 < first["val_reward_margin"] < last["val_reward_margin"]
    found = json.loads(scored.out)
    assert found["loss"] == pytest.approx(last["val_loss"], abs=1e-5)
    assert found["accuracy"] == last["val_accuracy"]
    assert "verdict  " in whole.err and "the model that it began with" in whole.err


def test_the_reference_is_asked_once_and_its_answers_are_kept(pair_project, gptkit):
    whole = gptkit("finetune", "dpo.yaml", "--run-dir", "whole")
    adapter = gptkit("finetune", "dpo.yaml", "--run-dir", "adapter", *LORA)
    longer = gptkit(
        "finetune", "dpo.yaml", "--run-dir", "third", "--set", "model.context_length=48"
    )

    assert "scoring" in whole.err
    assert "scoring" not in adapter.err, "the same model, whatever learns beside it"
    assert "scoring" in longer.err, "other cuts may give other answers"


def test_without_the_answers_the_reference_is_needed_and_has_to_be_the_same(pair_project, gptkit):
    assert gptkit("finetune", "dpo.yaml", "--run-dir", "whole").code == 0
    for name in ("kept", "again", "lost"):
        shutil.copytree("whole", name)

    def resume(run):
        return gptkit("finetune", "dpo.yaml", "--resume", f"{run}/checkpoints/step_00000003")

    def forget():
        for path in Path("data/prepared").glob("preference-*/reference-*.npy"):
            path.unlink()

    forget()
    again = resume("again")
    shutil.rmtree("runs/base")
    assert gptkit("train", "base.yaml", "--set", "training.seed=3").code == 0
    kept = resume("kept")
    forget()
    lost = resume("lost")

    assert (again.code, kept.code) == (0, 0), again.err + kept.err
    assert files(pair_project / "again") == files(pair_project / "kept") == files(Path("whole"))
    assert lost.code == 3
    assert "no longer holds the weights that this run began with" in lost.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["objective={name: next_token}"], "objective: pairs of answers are learned from by"),
        (["data.source={name: chat, paths: [chat.jsonl]}"], "objective.name: (dpo) learns from pairs"),
        (["model.init_from=null"], "objective.name: (dpo) measures how far a finished model moves"),
        (["objective={name: dpo, beta: 0}"], "objective.beta"),
        (["objective={name: ppo}"], "objective.name"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said(pair_project, gptkit, settings, words):
    result = gptkit("train", "dpo.yaml", *[part for s in settings for part in ("--set", s)])

    assert result.code == 2
    assert words in result.err


def test_prepared_pairs_need_their_objective_too(pair_project, gptkit):
    assert gptkit("finetune", "dpo.yaml", *SHORT).code == 0
    (folder,) = Path("data/prepared").glob("preference-*")
    tokens = f"data.source={{name: tokens, path: {folder.as_posix()}}}"
    plain = ("--set", tokens, "--set", "objective={name: next_token}", "--run-dir", "plain")

    wrong = gptkit("train", "dpo.yaml", *plain)
    right = gptkit("train", "dpo.yaml", "--set", tokens, "--run-dir", "right", *SHORT)

    assert wrong.code == 2 and "are pairs of answers" in wrong.err
    assert right.code == 0, right.err


def test_bad_pairs_end_with_2_and_nothing_is_written(pair_project, gptkit):
    bad = {"prompt": "hi", "chosen": "yes", "rejected": "yes"}
    write_chat(pair_project / "pairs.jsonl", [pair(0), bad, pair(1), {"prompt": "hi"}])

    for extra in ([], ["--dry-run"]):
        result = gptkit("finetune", "dpo.yaml", *extra)

        assert result.code == 2
        assert "pairs.jsonl: line 2: 'chosen' and 'rejected' are the same" in result.err
        assert "pairs.jsonl: line 4: has no field 'chosen'" in result.err
    assert not (pair_project / "runs/dpo").exists()


def test_pairs_that_are_cut_or_left_out_are_counted(pair_project, gptkit):
    long = {"prompt": "hi", "chosen": "word " * 200, "rejected": "no"}
    lost = {**pair(1), "prompt": "word " * 200}
    write_chat(pair_project / "pairs.jsonl", [*map(pair, range(30)), *[long, lost] * 3])

    result = gptkit("finetune", "dpo.yaml", "--set", "data.val_fraction=0", *SHORT)

    assert result.code == 0, result.err
    assert (
        "train: of 36 pairs 3 are longer than 64 tokens and cut there, 3 have no answer before"
        in result.err
    )


def test_a_report_speaks_of_pairs(pair_project, gptkit):
    assert gptkit("finetune", "dpo.yaml").code == 0
    reported = gptkit("report", "runs/dpo", "--json")

    page = (pair_project / "runs/dpo/report.html").read_text(encoding="utf-8")
    assert "nats per pair" in page and "nats per token" not in page
    assert json.loads(reported.out)["baselines"] == {"the model it began with": math.log(2)}
