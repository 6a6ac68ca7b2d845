"""The verdict on real runs: one that learns nothing, one that learns by heart, one that is good."""

import json

import numpy as np
import pytest

import gptkit
from gptkit.recipes.report import report

CONFIG = """\
data:
  source: {name: text, paths: [my.txt]}
  tokenizer: {name: char}
model: {n_layer: 2, n_head: 2, n_embd: 32, context_length: 32}
optimizer: {learning_rate: 1e-2}
training: {max_steps: 100, batch_size: 8, log_every: 5, eval_every: 25, save_every: 100, sample_tokens: 0}
runtime: {device: cpu, dtype: float32, compile: false}
"""
WORDS = "the of and to in that was his he it with is for as had you not be her on at by".split()  # noqa: SIM905


# Each window many times; every position of a window sees another beginning of the text.
LEARN_BY_HEART = {"training.max_steps": 150, "training.batch_size": 8, "model.n_embd": 48}


def random_characters(count):
    picks = np.random.default_rng(1).integers(0x100, 0x180, count)
    return "".join(map(chr, picks))


def random_words(count):
    picks = np.random.default_rng(2).integers(0, len(WORDS), count)
    return " ".join(WORDS[pick] for pick in picks)


@pytest.fixture
def judged(tmp_path, monkeypatch, capfd):
    """Train on a text and return the report as JSON."""
    for name in ("GPTKIT_RUNS", "GPTKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def train(text, **settings):
        (tmp_path / "my.txt").write_text(text, encoding="utf-8")
        (tmp_path / "my.yaml").write_text(CONFIG, encoding="utf-8")
        gptkit.train("my.yaml", set=settings)
        said = capfd.readouterr().err
        report.run(None, format="html", checkpoint=None, as_json=True)
        found = json.loads(capfd.readouterr().out)
        # What the run itself said at its end, from fewer tokens, is the same word.
        assert f"verdict  {found['verdict']}: " in said
        return found

    return train


def test_random_characters_are_not_learned(judged):
    found = judged(random_characters(8_000), **{"training.max_steps": 60})

    assert found["verdict"] == "not learning"


def test_random_characters_known_by_heart_are_not_learned_either(judged):
    found = judged(random_characters(500), **LEARN_BY_HEART)

    assert found["verdict"] == "not learning"
    assert "unigram" in found["because"]


def test_a_short_text_read_many_times_is_overfitting(judged):
    assert judged(random_words(150), **LEARN_BY_HEART)["verdict"] == "overfitting"


def test_a_text_whose_words_are_learned_is_good(judged):
    found = judged(random_words(4000))

    assert found["verdict"] == "good"
    assert "bigram" in found["because"]
    assert found["val_loss"] < found["baselines"]["bigram"]
