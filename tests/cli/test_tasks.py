"""gptkit eval --tasks: local tasks, asked by lm-evaluation-harness where it is installed."""

import importlib.util
import json
import math
import sys

import pytest

import gptkit as package
from gptkit.insight.continuations import Continuation, likelihoods
from gptkit.runtime.runtime import Runtime

needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="pip install 'gptkit[tasks]'"
)

QUESTIONS = [
    {"question": "the 3 quick brown", "choices": [" foxes", " dogs", " the 3"], "answer": 0},
    {"question": "foxes jump over 2", "choices": [" quick brown foxes", " lazy dogs"], "answer": 1},
    {"question": "the", "choices": [" dogs.", " 5"], "answer": 1},
]
COMMON = """\
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
metadata: {{version: 2.0}}
"""
CHOICES = """\
task: what_follows
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
TEXTS = """\
task: how_likely
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: bits_per_byte}]
"""
WRITING = """\
task: writes
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{question}}"
generation_kwargs: {until: ["."], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def trained(project, train_once, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(project / "cache"))
    train_once("my.yaml")
    data = project / "questions.jsonl"
    data.write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n", encoding="utf-8")
    tasks = project / "tasks"
    tasks.mkdir()
    for name, text in {"choices": CHOICES, "texts": TEXTS, "writing": WRITING}.items():
        common = COMMON.format(data=json.dumps(data.as_posix()))
        (tasks / f"{name}.yaml").write_text(text + common, encoding="utf-8")
    return project


def log_prob(run, before, after):
    before, after = run.tokenizer.encode(before), run.tokenizer.encode(after)
    runtime = Runtime(next(run.model.parameters()).device)
    asked = [Continuation([*before, *after], len(before))]
    return likelihoods(run.model, asked, runtime)[0].log_prob


@needs_harness
def test_tasks_of_a_folder_are_asked_offline_and_their_figures_are_those_by_hand(trained, gptkit):
    found = gptkit(
        "eval", "--tasks", "what_follows,how_likely,writes", "--tasks-path", "tasks", "--json"
    )

    assert found.code == 0, found.err
    facts = json.loads(found.out)
    assert facts["step"] == 6
    by_task = {one["task"]: one for one in facts["tasks"]}
    run = package.load(device="cpu", dtype="float32")
    right = 0
    for one in QUESTIONS:
        scores = [log_prob(run, one["question"], choice) for choice in one["choices"]]
        right += scores.index(max(scores)) == one["answer"]
    choices = by_task["what_follows"]
    assert choices["value"] == pytest.approx(right / 3)
    assert (choices["metric"], choices["questions"], choices["shots"]) == ("acc", 3, 0)
    assert choices["higher_is_better"] is True
    total = sum(log_prob(run, "\n", one["question"]) for one in QUESTIONS)
    num_bytes = sum(len(one["question"]) for one in QUESTIONS)
    assert by_task["how_likely"]["value"] == pytest.approx(-total / num_bytes / math.log(2))
    assert by_task["writes"]["value"] == 0  # it goes on from a text and does not repeat it


@needs_harness
def test_the_table_has_a_line_for_each_metric(trained, gptkit):
    found = gptkit("eval", "--tasks", "what_follows", "--tasks-path", "tasks")

    head, line = found.out.splitlines()
    assert head.split() == ["task", "metric", "value", "stderr", "questions", "shots"]
    assert line.split()[:2] == ["what_follows", "acc"]
    assert line.split()[-2:] == ["3", "0"]


@needs_harness
def test_a_task_that_cannot_be_loaded_is_said_without_a_traceback(trained, gptkit):
    (trained / "questions.jsonl").unlink()

    found = gptkit("eval", "--tasks", "what_follows", "--tasks-path", "tasks")

    assert found.code == 2
    assert "cannot be loaded" in found.err and "Traceback" not in found.err


def test_without_the_harness_the_extra_is_named(project, gptkit, monkeypatch):
    assert gptkit("train", "my.yaml").code == 0
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.evaluator", None)

    found = gptkit("eval", "--tasks", "hellaswag", "--json")

    assert found.code == 2
    assert "pip install 'gptkit[tasks]'" in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--tasks", "x", "--data", "my.txt"], "--data"),
        (["--tasks", "x", "--stride", "4"], "--stride"),
        (["--tasks-path", "."], "--tasks NAME"),
        (["--tasks", " , "], "names no task"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, gptkit, options, word):
    found = gptkit("eval", *options)

    assert found.code == 2
    assert word in found.err
