"""Every bad input: exit code 2, one clear message without a traceback, nothing written."""

import errno
import os

import pytest


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def write(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


BAD_DATA = {
    "empty file": (write("my.txt", b""), "empty"),
    "one character": (write("my.txt", b"a"), "my.txt"),
    "shorter than the context": (write("my.txt", b"too short"), "context"),
    "binary": (write("my.txt", bytes(range(256)) * 20), "my.txt"),
    "invalid UTF-8": (write("my.txt", b"abc def\n" * 50 + b"\xff\xfe" + b"abc" * 50), "400"),
    "UTF-16": (write("my.txt", ("text " * 100).encode("utf-16")), "UTF-16"),
    "GBK": (write("my.txt", ("静夜思床前明月光" * 50).encode("gbk")), "GBK"),
    "gzip": (write("my.txt", b"\x1f\x8b\x08" + b"\0" * 500), "gzip"),
    "missing": (lambda folder: (folder / "my.txt").unlink(), "my.txt"),
    "config is a list": (write("my.yaml", b"[1, 2]"), "mapping"),
    "config is empty": (write("my.yaml", b""), "data: is missing"),
    "config is not YAML": (write("my.yaml", b"a: [1"), "my.yaml:1"),
    "config is binary": (write("my.yaml", b"\xff\xfe\x00"), "UTF-8"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_files(case, project, gptkit):
    change, word = BAD_DATA[case]
    change(project)
    before = everything_in(project)

    result = gptkit("train", "my.yaml")

    assert result.code == 2
    assert result.err.startswith("error: ") and word in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    assert everything_in(project) == before


BAD_SETTINGS = {
    "model.n_layers=3": "did you mean 'n_layer'",
    "model.n_layer=three": "number",
    "model.n_layer=0": "greater than 0",
    "model.n_head=3": "multiple",
    "model=null": "model",
    "data.tokenizer={name: bpe, vocab_size: 100}": "257",
    "data.tokenizer={name: tiktoken, encoding: gtp2}": "gpt2",
    "data.source.paths=[]": "paths",
    "data.source.paths=[nothing/*.txt]": "nothing/*.txt",
    "data.source={name: jsonl, paths: [my.txt]}": "my.txt",
    "data.val_fraction=1.5": "val_fraction",
    "training.micro_batch_size=3": "multiple",
    "training.max_steps=null": "needs an end",
    "training.sample_prompt=é": "U+00E9",
    "schedule.warmup_steps=99": "less than",
    "runtime.dtype=float8": "float16",
    "runtime.device=tpu": "cuda",
    "run_dir=my.txt/run": "my.txt",
    "plugins=[nothing.py]": "nothing.py",
    "model.init_from=nothing": "nothing",
    "loggers=[{name: nothing}]": "tensorboard",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_bad_settings(setting, project, gptkit):
    before = everything_in(project)

    result = gptkit("train", "my.yaml", "--set", setting)

    assert result.code == 2
    assert BAD_SETTINGS[setting] in result.err
    assert "Traceback" not in result.err
    assert everything_in(project) == before


BAD_CALLS = {
    ("train", "nothing.yaml"): "nothing.yaml",
    ("train", "quickstrat"): "did you mean 'quickstart'",
    ("train", "."): "folder",
    ("train", "my.yaml", "--resume", "nothing"): "nothing",
    ("train", "my.yaml", "--set", "x"): "KEY=VALUE",
    ("train", "my.yaml", "--nothing"): "--nothing",
    ("train", "my.yaml", "--devices", "3"): "3",
    ("sample",): "no run",
    ("sample", "nothing"): "nothing",
    ("eval",): "no run",
    ("eval", "my.txt"): "my.txt",
    ("prepare", "nothing"): "nothing",
    ("config", "show", "nothing"): "nothing",
    ("config", "copy", "quickstart", "my.txt"): "exists",
    ("tokenizer", "encode", "my.txt", "--text", "a"): "my.txt",
}


@pytest.mark.parametrize("call", BAD_CALLS, ids=" ".join)
def test_bad_calls(call, project, gptkit):
    before = everything_in(project)

    result = gptkit(*call)

    assert result.code == 2
    assert BAD_CALLS[call] in result.err
    assert "Traceback" not in result.err
    assert everything_in(project) == before


@pytest.mark.parametrize("setting", ["model.n_layers=3", "data.source.paths=[no.txt]"])
def test_a_dry_run_finds_what_training_would_find(setting, project, gptkit):
    assert gptkit("train", "my.yaml", "--dry-run", "--set", setting).code == 2


def test_a_full_disk_is_said_in_one_line(project, gptkit, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("gptkit.recipes.train.run_folder.write_text", full)

    result = gptkit("train", "my.yaml")

    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "No space left" in result.err and "Traceback" not in result.err
