"""The command line as a user calls it, in this process, in a folder of its own."""

import shutil
import signal
import sys
from dataclasses import dataclass

import pytest

from gptkit.cli import main
from gptkit.runtime.interrupt import SIGNALS
from tests.cli.chatting import BASE, FINETUNE, PREFER, conversation, pair, write_chat

TEXT = "".join(f"the {i % 7} quick brown foxes jump over {i % 5} lazy dogs.\n" for i in range(120))
CONFIG = """\
data:
  source: {name: text, paths: [my.txt]}
  tokenizer: {name: char}
model: {n_layer: 2, n_head: 2, n_embd: 16, context_length: 16, dropout: 0.1}
optimizer: {learning_rate: 1e-2}
training: {max_steps: 6, batch_size: 4, log_every: 2, eval_every: 3, save_every: 3, sample_tokens: 8}
runtime: {device: cpu, dtype: float32, compile: false}
"""


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, without the settings of whoever runs the tests."""
    for name in ("GPTKIT_RUNS", "GPTKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def gptkit(folder, monkeypatch, capfd):
    """Run `gptkit ARGS...` and return its exit code and what it printed."""

    def run(*args):
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["gptkit", *map(str, args)])
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def trained_folders():
    """What training has left in which folder, by command and files."""
    return {}


@pytest.fixture
def train_once(folder, gptkit, trained_folders, tmp_path_factory):
    """Run `gptkit train ARGS...` in the folder, or copy what the same command on the same files left before."""

    def train(*args):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        key = repr((args, sorted(files.items())))
        if key in trained_folders:
            shutil.copytree(trained_folders[key], folder, dirs_exist_ok=True)
            return
        assert gptkit("train", *args).code == 0
        kept = tmp_path_factory.mktemp("trained") / "folder"
        trained_folders[key] = shutil.copytree(folder, kept)

    return train


@pytest.fixture
def project(folder):
    """A folder with a text and a config that trains in a second."""
    (folder / "my.txt").write_text(TEXT, encoding="utf-8")
    (folder / "my.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture
def chat_project(project, train_once):
    """A folder with a trained model, conversations, and a config that puts them together."""
    (project / "base.yaml").write_text(BASE, encoding="utf-8")
    (project / "ft.yaml").write_text(FINETUNE, encoding="utf-8")
    write_chat(project / "chat.jsonl", map(conversation, range(40)))
    train_once("base.yaml")
    return project


@pytest.fixture
def trained(project, train_once):
    """A run of one step; its weights are those it began with, more or less."""
    (project / "my.yaml").write_text(CONFIG.replace("max_steps: 6", "max_steps: 1"), "utf-8")
    train_once("my.yaml")
    return project


@pytest.fixture
def pair_project(chat_project):
    """A folder with a trained model, pairs, and a config that puts them together."""
    (chat_project / "dpo.yaml").write_text(PREFER, encoding="utf-8")
    write_chat(chat_project / "pairs.jsonl", map(pair, range(60)))
    return chat_project
