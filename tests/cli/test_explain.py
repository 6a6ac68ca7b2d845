"""gptkit explain as a user calls it."""

import json
import math

import pytest
import torch

import gptkit as library


@pytest.fixture
def trained(project, train_once):
    train_once("my.yaml", "--set", "training.sample_tokens=0")
    return project / "runs/my"


def test_a_page_is_written_and_its_place_printed(trained, gptkit):
    result = gptkit("explain", "--text", "the lazy dogs", "--ablate", "residual")

    assert result.code == 0
    assert result.out.strip().endswith("explain.html")
    page = (trained / "explain.html").read_text(encoding="utf-8")
    assert page.count('<figure class="map">') == 4
    assert "What if it had no residual connections?" in page


def test_the_probabilities_are_those_of_the_model(trained, gptkit):
    text = "the lazy dogs"

    found = json.loads(gptkit("explain", "--text", text, "--json").out)

    run = library.load(trained, dtype="float32")
    tokens = torch.tensor([run.tokenizer.encode(text)])
    with torch.no_grad():
        expected = run.model(tokens)[0, :-1].double().softmax(-1)
    for row, view in zip(expected, found["tokens"], strict=True):
        assert view["probability"] == float(row[view["id"]])
        assert view["alternatives"][0]["probability"] == float(row.max())
    losses = [-math.log(view["probability"]) for view in found["tokens"]]
    assert found["loss"] == pytest.approx(sum(losses) / len(losses))


def test_a_text_longer_than_the_context_is_cut_and_that_is_said(trained, gptkit):
    result = gptkit("explain", "--text", "the lazy dogs jump over the brown foxes.")

    assert result.code == 0
    assert "longer than 16 tokens" in result.err


def test_any_text_of_any_language_is_shown_and_never_run(project, gptkit):
    text = "<script>alert('日本')</script> 森林🙂\n"
    (project / "my.txt").write_text(text * 200, encoding="utf-8")
    gptkit("train", "my.yaml", "--set", "data.tokenizer={name: bpe, vocab_size: 270}")

    result = gptkit("explain", "--text", text)

    assert result.code == 0
    page = (project / "runs/my/explain.html").read_text(encoding="utf-8")
    assert page.count("<script>") == 1


@pytest.mark.parametrize(
    "arguments",
    [("--text", ""), ("--text", "t"), ("--text", "the€"), ("--text", "the", "--ablate", "x"), ()],
)
def test_what_cannot_be_explained_is_refused(trained, gptkit, arguments):
    result = gptkit("explain", *arguments)

    assert result.code == 2
    assert "Traceback" not in result.err
