"""gptkit eval: the figures of the contract, and what stands beside them."""

import json
import math

import pytest

CONTRACT = [
    "loss",
    "perplexity",
    "bits_per_byte",
    "accuracy",
    "tokens",
    "bytes",
    "split",
    "step",
    "run",
]


@pytest.fixture
def trained(project, train_once):
    train_once("my.yaml")
    return project


def test_json_has_the_figures_of_the_contract_and_what_explains_them(trained, gptkit):
    found = gptkit("eval", "--json")

    figures = json.loads(found.out)
    assert set(CONTRACT) <= set(figures)
    assert figures["selected_on"] is True
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert figures["accuracy"] <= figures["top5_accuracy"] <= 1
    names = [one["name"] for one in figures["baselines"]]
    assert names[:3] == ["uniform", "unigram", "bigram"] and names[-2:] == ["xz", "zstd"]
    assert sum(part["tokens"] for part in figures["by_position"]) == figures["tokens"]
    assert sum(part["tokens"] for part in figures["calibration"]) == figures["tokens"]
    assert figures["worst"][0]["loss"] >= figures["best"][0]["loss"]
    assert set(figures["best"][0]) == {"start", "tokens", "loss", "text"}


def test_the_table_names_the_model_among_its_baselines_and_marks_val(trained, gptkit):
    found = gptkit("eval")

    assert "selected on" in found.out
    rows = [line.split() for line in found.out.splitlines()]
    losses = {row[0]: float(row[1]) for row in rows if row and row[0] in ("uniform", "bigram")}
    assert losses["uniform"] > losses["bigram"] > 0
    assert any(line.startswith("this model ") for line in found.out.splitlines())


def test_another_text_is_not_marked_and_has_no_n_grams_without_the_training_text(trained, gptkit):
    (trained / "other.txt").write_text("the 3 quick brown dogs.\n" * 20, encoding="utf-8")
    with_text = json.loads(gptkit("eval", "--data", "other.txt", "--json").out)
    (trained / "my.txt").unlink()

    without = gptkit("eval", "--data", "other.txt", "--json")

    assert with_text["selected_on"] is False
    assert "5-gram" in [one["name"] for one in with_text["baselines"]]
    assert [one["name"] for one in json.loads(without.out)["baselines"]][0:2] == ["uniform", "xz"]
    assert "training text is not here" in without.err
    assert without.code == 0


def test_documents_of_jsonl_are_ranked(trained, gptkit):
    rows = [{"text": "the quick brown foxes jump over lazy dogs. " * 3} for _ in range(25)]
    rows[7] = {"text": "zyx" * 60}  # letters of the text in an order that it never has
    letters = set((trained / "my.txt").read_text(encoding="utf-8"))
    rows[7]["text"] = "".join(sorted(letters - {"\n"})) * 5
    text = "\n".join(json.dumps(row) for row in rows)
    (trained / "docs.jsonl").write_text(text + "\n", encoding="utf-8")

    figures = json.loads(gptkit("eval", "--data", "docs.jsonl", "--json").out)

    assert figures["worst"][0]["text"].split() == rows[7]["text"].split()[:1] or (
        figures["worst"][0]["text"] in " ".join(rows[7]["text"].split())
    )


def test_excerpts_of_documents_hold_text_and_no_special_tokens(project, gptkit):
    rows = [{"text": f"fox {i} jumps over dog {i * i}. " * 3} for i in range(80)]
    (project / "docs.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    data = (
        "data={source: {name: jsonl, paths: [docs.jsonl]}, tokenizer: {name: bpe, vocab_size: 280},"
    )
    assert gptkit("train", "my.yaml", "--set", data + " val_fraction: 0.4}").code == 0

    figures = json.loads(gptkit("eval", "--json").out)

    assert figures["worst"] and all(one["text"].startswith("fox ") for one in figures["worst"])
