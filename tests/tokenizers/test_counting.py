from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gptkit.tokenizers import counting
from gptkit.tokenizers.counting import count_words

ROOT = Path(__file__).resolve().parents[2]
WORKER = [sys.executable, "-m", "gptkit.tokenizers.counting_worker", "gpt2"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_BLOCK_BYTES", 20_000)


@pytest.fixture
def pieces(stdlib_text: str) -> list[bytes]:
    return [stdlib_text[start : start + 7_000].encode() for start in range(0, 200_000, 7_000)]


def test_words_are_those_of_the_pattern() -> None:
    counts = count_words([b"it's a cat, a cat", "a 汉字".encode()], "gpt2", num_workers=0)

    assert counts == {
        **{b"it": 1, b"'s": 1, b" a": 2, b" cat": 2, b",": 1, b"a": 1},
        " 汉字".encode(): 1,
    }


def test_workers_count_what_one_process_counts(pieces: list[bytes]) -> None:
    counts = count_words(pieces, "llama3", num_workers=0)

    assert count_words(pieces, "llama3", num_workers=2) == counts
    assert len(counts) > 1000


def test_worker_that_does_not_start_is_replaced(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_WORKER_MODULE", "gptkit.no_such_module")

    assert count_words(pieces, "gpt2", num_workers=2) == count_words(pieces, "gpt2", num_workers=0)


def test_python_that_is_missing_is_replaced(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))

    assert count_words(pieces, "gpt2", num_workers=2) == count_words(pieces, "gpt2", num_workers=0)


def test_error_in_the_text_ends_the_workers_and_comes_through(pieces: list[bytes]) -> None:
    def broken() -> list[bytes]:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        count_words(
            (piece for source in (lambda: pieces, broken) for piece in source()),
            "gpt2",
            num_workers=2,
        )


def test_rare_words_are_forgotten_the_same_way_by_any_number_of_workers(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = Counter(count_words(pieces, "gpt2", num_workers=0))
    monkeypatch.setattr(counting, "_WORDS_LIMIT", 30_000)

    kept = count_words(pieces, "gpt2", num_workers=0)

    assert kept == count_words(pieces, "gpt2", num_workers=2)
    assert sum(len(word) + 16 for word in kept) <= 30_000
    assert {word for word, _ in everything.most_common(50)} <= kept.keys()


def test_endless_words_are_counted_in_parts() -> None:
    counts = count_words([b"a" * 1000], "gpt2", num_workers=0)

    assert counts == {b"a" * 256: 3, b"a" * 232: 1}


def test_worker_ends_when_its_parent_closes_the_pipe() -> None:
    with subprocess.Popen(
        WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as worker:
        output, _ = worker.communicate(b"", timeout=60)

    assert (worker.returncode, output) == (0, b"")


PARENT = """
import os, signal, subprocess, sys, time
from gptkit.tokenizers.counting_worker import read_counts, write_block
worker = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
write_block(worker.stdin, [b"some text"])
read_counts(worker.stdout)
{task}
os.kill(os.getpid(), signal.SIGKILL)
"""
TASKS = {
    "nothing": "",
    "reading": "worker.stdin.write(bytes([1, 0, 0, 0, 9, 0, 0, 0, 97])); worker.stdin.flush()",
    "counting": "write_block(worker.stdin, [b'some more of it ' * 100_000]); time.sleep(0.02)",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("task", TASKS)
def test_worker_ends_when_its_parent_is_killed(task: str) -> None:
    command = [sys.executable, "-c", PARENT.format(task=TASKS[task]), *WORKER]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as parent:
        # Both hold its other end: it is not read to its end before both are gone.
        parent.communicate(timeout=60)

    assert parent.returncode == -9


def test_worker_imports_nothing_heavy() -> None:
    program = "import sys, gptkit.tokenizers.counting_worker; print(*sys.modules)"

    modules = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).split()

    assert not {"torch", "numpy", "pydantic", "tiktoken", "subprocess"} & set(modules)


def test_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "train_it.py"
    script.write_text(
        "from gptkit.tokenizers import counting\n"
        "counting._BLOCK_BYTES = 100\n"
        "pieces = [b'some text and more of it'] * 50\n"
        "print(counting.count_words(pieces, 'gpt2', num_workers=2)[b' text'])\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    output = subprocess.check_output(
        [sys.executable, script.name], cwd=tmp_path, env=environment, text=True
    )

    assert output.split() == ["50"]
