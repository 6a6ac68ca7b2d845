"""Fine-tuning that is killed ends with the bytes of one that was not.

Other runs are killed by tests/test_fault_injection.py.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

STEPS = 16
SETTINGS = (
    f"training.max_steps={STEPS}",
    "training.micro_batch_size=2",
    "training.save_every=4",
    "training.eval_every=8",
    "training.log_every=1",
    "training.sample_tokens=0",
)
REPOSITORY = Path(__file__).resolve().parents[2]
LORA = "adapter={name: lora, rank: 2, dropout: 0.1}"


def arguments(run_dir, config, *more):
    sets = [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]
    return ["train", config, "--run-dir", run_dir, "--resume", "auto", *sets]


def start(project, run_dir, config, *more):
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


def assert_same_end(run, reference):
    last = f"checkpoints/step_{STEPS:08d}"
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        assert (run / last / name).read_bytes() == (reference / last / name).read_bytes()
    assert lines_of(run) == lines_of(reference) == STEPS


@pytest.mark.parametrize(
    ("config", "more"),
    [("ft.yaml", ()), ("ft.yaml", (LORA,)), ("dpo.yaml", (LORA,))],
    ids=["fine-tuning", "lora", "dpo"],
)
def test_fine_tuning_that_is_killed_ends_with_the_same_bytes(pair_project, gptkit, config, more):
    process = start(pair_project, "killed", config, *more)
    wait_for_lines(process, pair_project / "killed", 6)
    process.kill()
    process.wait(30)

    whole = gptkit(*arguments("whole", config, *more))
    rest = gptkit(*arguments("killed", config, *more))

    assert (whole.code, rest.code) == (0, 0), whole.err + rest.err
    assert "resumed  at step" in rest.err
    assert_same_end(pair_project / "killed", pair_project / "whole")
