"""gptkit report, and the report that a run ends with."""

import json
import shutil

import pytest

from gptkit.recipes.report import report as recipe


@pytest.fixture
def trained(project, train_once):
    train_once("my.yaml")
    return project / "runs/my"


def test_a_run_ends_with_a_report_and_says_where(project, gptkit):
    result = gptkit("train", "my.yaml")

    page = (project / "runs/my/report.html").read_text(encoding="utf-8")
    assert "report   runs/my/report.html" in result.err.replace("\\", "/")
    assert "verdict  " in result.err
    assert page.startswith("<!DOCTYPE html>")
    assert "validation loss" in page and "uniform" in page


def test_a_report_that_cannot_be_made_fails_no_run(project, gptkit, monkeypatch):
    def broken(*args):
        raise RuntimeError("no pen")

    monkeypatch.setattr(recipe, "gather", broken)

    result = gptkit("train", "my.yaml")

    assert result.code == 0
    assert "report   none: RuntimeError: no pen" in result.err
    assert result.out.strip()


def test_the_command_prints_the_place_and_the_verdict(trained, gptkit):
    (trained / "report.html").unlink()

    result = gptkit("report")

    lines = result.out.splitlines()
    assert result.code == 0
    assert lines[0].endswith("report.html")
    assert (trained / "report.html").is_file()
    assert ": " in lines[1]


def test_json_holds_the_verdict_and_its_numbers(trained, gptkit):
    result = gptkit("report", trained, "--json")

    values = json.loads(result.out)
    assert values["step"] == 6
    assert values["verdict"] in ("learning", "not learning", "overfitting", "good")
    assert values["val_loss"] == pytest.approx(
        json.loads(gptkit("eval", trained, "--json").out)["loss"], abs=1e-5
    )


def test_another_checkpoint_can_be_named(trained, gptkit):
    gptkit("report", trained, "--checkpoint", "3")

    assert "report of step 3" in (trained / "report.html").read_text(encoding="utf-8")


def test_a_checkpoint_that_stands_alone_has_a_report_beside_it(trained, gptkit, tmp_path):
    alone = tmp_path / "moved" / "best one"
    shutil.copytree(trained / "checkpoints/step_00000006", alone)

    result = gptkit("report", alone)

    assert result.code == 0
    assert (tmp_path / "moved" / "best one-report.html").is_file()
    assert gptkit("checkpoint", "verify", alone).code == 0


def test_names_samples_and_settings_are_shown_and_never_run(project, gptkit):
    hostile = "<script>alert('日本')</script>"
    run = project / "a&b <i> 日本 🙂"
    gptkit("train", "my.yaml", "--run-dir", run, "--set", 'training.sample_prompt="the "')
    (run / "samples/step_00000003.txt").write_text(hostile, encoding="utf-8")

    gptkit("report", run)

    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<h1>a&amp;b &lt;i&gt; 日本 🙂</h1>" in page
    assert hostile not in page
    assert "&lt;script&gt;alert(&#x27;日本&#x27;)&lt;/script&gt;" in page


def test_a_run_whose_data_and_metrics_are_gone_is_still_reported(trained, gptkit, project):
    shutil.rmtree(project / "data")
    (trained / "metrics.jsonl").unlink()
    shutil.rmtree(trained / "samples")

    result = gptkit("report")

    assert result.code == 0
    assert "too early to tell" in result.out


@pytest.mark.parametrize("format", ["png", "svg"])
def test_pictures_for_papers(trained, gptkit, format):
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")

    result = gptkit("report", "--format", format)
    first = (trained / f"report.{format}").read_bytes()
    gptkit("report", "--format", format)

    assert result.code == 0
    assert first[:5] in (b"\x89PNG\r", b"<?xml")
    assert (trained / f"report.{format}").read_bytes() == first


def test_without_matplotlib_the_extra_is_named(trained, gptkit, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)

    result = gptkit("report", "--format", "png")

    assert result.code == 2
    assert "gptkit[plots]" in result.err
    assert not (trained / "report.png").exists()


@pytest.mark.parametrize("arguments", [("--format", "pdf"), ("nowhere",)])
def test_what_cannot_be_is_refused(trained, gptkit, arguments):
    result = gptkit("report", *arguments)

    assert result.code == 2
    assert "Traceback" not in result.err


def test_a_copied_passage_is_found_with_its_line(trained, gptkit, project):
    line = "the 4 quick brown foxes jump over 2 lazy dogs."
    at = (project / "my.txt").read_text(encoding="utf-8").split("\n").index(line)
    text = f"{line}\nthe 5 quick brown foxes"
    (trained / "samples/step_00000006.txt").write_text(f"what? {text} what?", encoding="utf-8")

    result = gptkit("report", "--json")

    longest = json.loads(result.out)["copied"]["longest"]
    assert text in longest["text"]
    assert longest["line"] == at + 1
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert f"<mark>{text}" in page
    assert f"line {at + 1:,} of the training text" in page
