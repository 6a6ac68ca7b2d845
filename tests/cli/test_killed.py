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


FEWER_STEPS = ("training.max_steps=16", "training.eval_every=8")
LORA = "adapter={name: lora, rank: 2, dropout: 0.1}"


def arguments(run_dir, config, *more):
    sets = [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]
    return ["train", config, "--run-dir", run_dir, "--resume", "auto", *sets]


def start(project, run_dir, config="my.yaml", *more):
    command = [sys.executable, "-m", "gptkit", *arguments(run_dir, config, *more)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
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


def assert_same_end(run, reference, steps=60):
    last = f"checkpoints/step_{steps:08d}"
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        assert (run / last / name).read_bytes() == (reference / last / name).read_bytes()
    assert lines_of(run) == lines_of(reference) == steps


def test_a_run_killed_three_times_ends_with_the_same_bytes(project, reference):
    run = project / "killed"
    for count in (7, 22, 43):
        process = start(project, "killed")
        wait_for_lines(process, run, count)
        process.kill()
        process.wait(30)

    assert start(project, "killed").wait(120) == 0
    assert_same_end(run, reference)


@pytest.mark.parametrize(
    ("config", "more"),
    [("ft.yaml", ()), ("ft.yaml", (LORA,)), ("dpo.yaml", (LORA,))],
    ids=["fine-tuning", "lora", "dpo"],
)
def test_fine_tuning_that_is_killed_ends_with_the_same_bytes(pair_project, gptkit, config, more):
    more = (*more, *FEWER_STEPS)
    process = start(pair_project, "killed", config, *more)
    wait_for_lines(process, pair_project / "killed", 6)
    process.kill()
    process.wait(30)

    whole = gptkit(*arguments("whole", config, *more))
    rest = gptkit(*arguments("killed", config, *more))

    assert (whole.code, rest.code) == (0, 0), whole.err + rest.err
    assert "resumed  at step" in rest.err
    assert_same_end(pair_project / "killed", pair_project / "whole", 16)


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
