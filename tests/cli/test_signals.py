"""A signal ends any command, at any moment, with 128 + its number and one line."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from gptkit.runtime.interrupt import SIGNALS
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="Windows kills a process that is sent a signal"
)

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = """
from gptkit.cli import main
from gptkit.runtime import interrupt
interrupt._SOON_SECONDS = 0.5
main()
"""
SAYS_WHEN_IT_IMPORTS_TORCH = """
import sys
class Torch:
    def find_spec(name, path=None, target=None):
        if name == "torch":
            sys.meta_path.remove(Torch)
            print("torch", flush=True)
sys.meta_path.insert(0, Torch)
"""


@pytest.fixture
def start(project):
    """Start `gptkit ARGS...` in the project and return the process."""
    started = []

    def start(*args, before=""):
        process = subprocess.Popen(
            [sys.executable, "-c", before + PROGRAM, *map(str, args)],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def stop(process, number=signal.SIGTERM):
    """Send a signal; return the exit code, what was printed on stderr and the seconds it took."""
    began = time.monotonic()
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    return process.returncode, message, time.monotonic() - began


@pytest.mark.parametrize("number", SIGNALS)
def test_while_torch_is_imported(number, start):
    process = start("train", "my.yaml", before=SAYS_WHEN_IT_IMPORTS_TORCH)
    assert process.stdout.readline() == "torch\n"

    code, message, seconds = stop(process, number)

    assert (code, message) == (128 + number, f"stopped by {number.name}\n")
    assert seconds < 10


def words(project):
    """Write a text whose tokenizer takes minutes to learn."""
    letters = random.Random(1).choices("etaoinshrdlu ", k=8_000_000)
    (project / "my.txt").write_text("".join(letters), encoding="utf-8")
    return "--set", "data.tokenizer={name: bpe, vocab_size: 60000}"


def test_while_a_tokenizer_is_trained(project, start):
    process = start("prepare", "my.yaml", *words(project))
    prepared = project / "data/prepared"
    wait_for(lambda: prepared.exists() and list(prepared.glob(".unfinished-*")))
    time.sleep(3.0)

    code, message, seconds = stop(process)

    assert (code, message) == (143, "stopped by SIGTERM\n")
    assert seconds < 10
    # On a busy machine there is no time to tidy up; the next start does.
    assert not [path for path in prepared.glob("*") if not path.name.startswith(".unfinished-")]


@contextmanager
def silent_server():
    """A server that takes connections and never answers; yields its URL and the connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/text.txt", server


def test_while_a_server_is_silent(start):
    with silent_server() as (url, server):
        process = start("prepare", "my.yaml", "--set", f"data.source={{name: url, url: '{url}'}}")
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            code, message, seconds = stop(process)

    assert (code, message) == (143, "stopped by SIGTERM\n")
    assert seconds < 10


@pytest.fixture
def trained(project, gptkit):
    assert gptkit("train", "my.yaml", "--run-dir", "run").code == 0
    return "run"


def test_while_a_sample_is_drawn(trained, start):
    process = start("sample", trained, "--prompt", "the ", "--max-new-tokens", 1_000_000)
    assert process.stdout.read(20)

    code, message, seconds = stop(process, signal.SIGINT)

    assert code == 130
    assert message.splitlines()[1:] == ["stopped by SIGINT"]  # the first says which run
    assert seconds < 10


def test_ctrl_c_ends_a_text_of_a_conversation_and_not_the_conversation(trained, start):
    process = start("sample", trained, "--interactive", "--max-new-tokens", 1_000_000)
    process.stdin.write("the \n")
    process.stdin.flush()
    assert process.stdout.read(20)
    process.send_signal(signal.SIGINT)
    process.stdin.write("quick \n")
    process.stdin.flush()
    wait_for(lambda: process.stdout.readline().endswith("\n"))
    assert process.stdout.read(20)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert process.returncode == 143
