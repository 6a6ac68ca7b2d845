import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from gptkit.runtime import Runtime
from gptkit.runtime.launch import run_ranks

SCRIPT = Path(__file__).with_name("ranks_script.py")


def load_script():
    spec = importlib.util.spec_from_file_location("ranks_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_ranks_end_where_one_process_ends(tmp_path):
    out = tmp_path / "two.safetensors"
    weights, lines, _ = load_script().train_tiny(Runtime(torch.device("cpu")))

    code = run_ranks(2, [sys.executable, str(SCRIPT), str(out)])

    assert code == 0
    two = load_file(out)
    for key in ("val_loss.10", "val_loss.20", "train_loss.5", "train_loss.15"):
        name, step = key.split(".")
        assert abs(two.pop(key).item() - lines[int(step)][name]) < 1e-6
    torch.testing.assert_close(two, weights, rtol=0, atol=1e-5)
