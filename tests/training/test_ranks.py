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
    script, one = load_script(), {}
    for kind in script.KINDS:
        weights, lines, _ = script.train_tiny(Runtime(torch.device("cpu")), kind=kind)
        one |= script.facts_of(kind, weights, lines)

    code = run_ranks(2, [sys.executable, str(SCRIPT), str(out)])

    assert code == 0
    two = load_file(out)
    losses = [key for key in one if "_loss." in key]
    assert len(losses) == 4 * len(script.KINDS)
    for key in losses:
        assert abs(two.pop(key).item() - one.pop(key).item()) < 1e-6, key
    torch.testing.assert_close(two, one, rtol=0, atol=1e-5)
