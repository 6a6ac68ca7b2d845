"""A run that is killed, or asked to stop, at any moment ends with the bytes of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETTINGS = (
    "training.max_steps=60",
    "training.micro_batch_size=2",
    "training.save_every=4",
    "training.eval_every=20",
    "training.log_every=1",
    "training.sample_tokens=0",
)
REPOSITORY = Path(__file__).resolve().parents[2]


def command(run_dir):
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    return [
        sys.executable, "-m", "gptkit", "train", "my.yaml", "--run-dir", run_dir, "--resume", "auto", *sets,
    ]  # fmt: skip


def start(project, run_dir):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command(run_dir), cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )  # fmt: skip


def lines_of(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(process, run, count):
    deadline = time.monotonic() + 60
    while lines_of(run) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert process.poll() is None, process.stderr.read().decode()


@pytest.fixture
def reference(project):
    process = start(project, "whole")
    assert process.wait(120) == 0, process.stderr.read().decode()
    return project / "whole"


def assert_same_end(run, reference):
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        ours = (run / "checkpoints/step_00000060" / name).read_bytes()
        assert ours == (reference / "checkpoints/step_00000060" / name).read_bytes()
    assert lines_of(run) == lines_of(reference) == 60


def test_a_run_killed_three_times_ends_with_the_same_bytes(project, reference):
    run = project / "killed"
    for count in (7, 22, 43):
        process = start(project, "killed")
        wait_for_lines(process, run, count)
        process.kill()
        process.wait(30)

    assert start(project, "killed").wait(120) == 0
    assert_same_end(run, reference)


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers no SIGTERM to a child")
def test_a_run_asked_to_stop_saves_that_step_and_says_so(project, reference):
    run = project / "stopped"
    process = start(project, "stopped")
    wait_for_lines(process, run, 10)
    process.send_signal(signal.SIGTERM)
    message = process.communicate(timeout=60)[1].decode()

    assert process.returncode == 143
    assert "SIGTERM" in message and "--resume auto" in message
    assert start(project, "stopped").wait(120) == 0
    assert_same_end(run, reference)
