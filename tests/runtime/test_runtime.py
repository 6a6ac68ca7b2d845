import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends

from gptkit.runtime import Runtime, RuntimeConfig
from gptkit.runtime.runtime import attention_order

CPU = torch.device("cpu")
TOKENS = torch.zeros(2, 4, dtype=torch.int64)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)

    def forward(self, tokens):
        return self.embedding(tokens) @ self.embedding.weight.T


class Objective(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Tiny()

    def forward(self, tokens, targets, documents=None):
        logits = self.model(tokens).flatten(0, 1)
        return nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum")


@pytest.fixture
def single(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_is_main_and_agrees_with_itself(single):
    with Runtime.start(RuntimeConfig(device="cpu", dtype="float32")) as runtime:
        assert runtime.is_main and runtime.world_size == 1
        assert runtime.largest([1.0, 2.0]) == [1.0, 2.0]
        assert runtime.any_rank(True) and not runtime.any_rank(False)
        assert runtime.sum_over_ranks(torch.tensor(3.0)) == 3.0
        runtime.barrier()


def test_bfloat16_computes_products_in_bfloat16_and_keeps_weights_in_float32():
    runtime = Runtime(CPU, RuntimeConfig(device="cpu", dtype="bfloat16", compile=False))
    model = Tiny()

    with runtime.autocast():
        logits = model(TOKENS)

    assert logits.dtype == torch.bfloat16
    assert model.embedding.weight.dtype == torch.float32


def test_a_compiler_that_fails_leaves_the_objective_eager_with_one_warning(monkeypatch):
    runtime = Runtime(CPU, RuntimeConfig(device="cpu", dtype="float32", compile=True))
    objective, warnings = Objective(), []

    def broken(module, **options):
        def fail(*args, **kwargs):
            raise RuntimeError("no C++ compiler found\nand more of that")

        wrapped = nn.Identity()
        wrapped.forward = fail
        return wrapped

    monkeypatch.setattr(torch, "compile", broken)

    replica = runtime.replicate(objective, TOKENS, warn=warnings.append)

    assert replica is objective
    assert warnings == ["not compiled: no C++ compiler found"]
    assert runtime.config.compile is False


def test_trying_the_compiler_leaves_no_gradient_behind(monkeypatch):
    runtime = Runtime(CPU, RuntimeConfig(device="cpu", dtype="float32", compile=True))
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)
    objective = Objective()

    replica = runtime.replicate(objective, TOKENS, warn=pytest.fail)

    assert replica is objective
    assert objective.model.embedding.weight.grad is None


def test_what_a_run_sets_for_the_whole_process_is_put_back(single):
    precision = torch.get_float32_matmul_precision()

    with Runtime.start(RuntimeConfig(device="cpu", deterministic=True)):
        inside = torch.are_deterministic_algorithms_enabled()

    assert inside
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (12, 0)])
def test_cudnn_is_asked_for_attention_first_on_hopper_alone(capability, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    usual = _cur_sdpa_kernel_backends(with_priority=True)

    with attention_order(torch.device("cuda")):
        first = _cur_sdpa_kernel_backends(with_priority=True)[0]

    assert (first == SDPBackend.CUDNN_ATTENTION) == (capability == (9, 0))
    assert _cur_sdpa_kernel_backends(with_priority=True) == usual


def test_importing_the_settings_needs_no_torch():

    code = (
        "import sys, gptkit.runtime.config, gptkit.training.config; print('torch' in sys.modules)"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
