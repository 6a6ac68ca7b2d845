from dataclasses import replace

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.runtime import choose as chosen
from gptkit.runtime.choose import (
    Workload,
    choose,
    choose_compile,
    choose_device,
    choose_dtype,
)
from gptkit.runtime.config import RuntimeConfig
from gptkit.runtime.peak import measured_flops

CPU = torch.device("cpu")
WIDE = Workload(n_embd=128)
NARROW = Workload(n_embd=96)


@pytest.fixture
def cpu_with_bfloat16(monkeypatch):
    monkeypatch.setattr(chosen, "multiplies_bfloat16", lambda: True)


@pytest.fixture
def cpu_without_bfloat16(monkeypatch):
    monkeypatch.setattr(chosen, "multiplies_bfloat16", lambda: False)


def test_nothing_is_left_to_choose_and_every_choice_has_a_reason():
    resolved, reasons = choose(RuntimeConfig(device="cpu"), CPU, WIDE)

    assert "auto" not in resolved.model_dump().values()
    assert reasons[0] == "device cpu"
    assert reasons[1].startswith(resolved.dtype)


def test_what_was_set_stays_as_it_is_without_a_reason():
    config = RuntimeConfig(device="cpu", dtype="float32", compile=True)

    resolved, reasons = choose(config, CPU, WIDE)

    assert resolved == config
    assert reasons == ("device cpu",)


def test_what_was_chosen_once_is_chosen_again():
    resolved, _ = choose(RuntimeConfig(device="cpu"), CPU, WIDE)

    again, _ = choose(resolved, CPU, NARROW)

    assert again == resolved


@pytest.mark.parametrize(
    "ratios, multiplies",
    [([3.0], True), ([0.01], False), ([1.1, 1.2, 2.0], True), ([1.0, 0.9, 1.1], False)],
)
def test_bfloat16_is_tried_again_where_a_trial_leaves_a_doubt(monkeypatch, ratios, multiplies):
    left = list(ratios)

    def rate(dtype, size):
        return 1e9 * (left.pop(0) if dtype == torch.bfloat16 else 1.0)

    monkeypatch.setattr(chosen, "measured_flops", rate)

    assert chosen.multiplies_bfloat16() is multiplies
    assert not left


@pytest.mark.parametrize("workload, dtype", [(WIDE, "bfloat16"), (NARROW, "float32")])
def test_a_cpu_with_bfloat16_uses_it_for_wide_models_only(cpu_with_bfloat16, workload, dtype):
    assert choose_dtype("auto", CPU, workload)[0] == dtype


def test_without_training_a_cpu_with_bfloat16_uses_it(cpu_with_bfloat16):
    assert choose_dtype("auto", CPU, None)[0] == "bfloat16"


@pytest.mark.parametrize("workload", [WIDE, None])
def test_a_cpu_that_emulates_bfloat16_never_chooses_it(cpu_without_bfloat16, workload):
    assert choose_dtype("auto", CPU, workload)[0] == "float32"


def test_emulated_bfloat16_is_obeyed_with_a_warning(cpu_without_bfloat16):
    dtype, why = choose_dtype("bfloat16", CPU, WIDE)

    assert dtype == "bfloat16"
    assert "emulates" in why


def test_float16_is_not_trained_on_a_cpu():
    with pytest.raises(ConfigError, match=r"runtime.dtype: float16 trains on cuda only"):
        choose_dtype("float16", CPU, WIDE)


LONG = Workload(n_embd=128, seconds=3600.0)


def compiles(workload):
    return choose_compile("auto", CPU, "float32", workload)


def test_a_long_run_is_compiled_and_a_short_one_is_not(monkeypatch):
    monkeypatch.setattr(chosen.shutil, "which", lambda name: name)
    monkeypatch.setattr(chosen, "peak_flops", lambda device, dtype: 1e11)

    assert compiles(LONG) == (True, "compiled")
    assert compiles(replace(LONG, seconds=None, total_flops=1e14)) == (True, "compiled")
    short = (False, "not compiled: the run is short")
    assert compiles(replace(LONG, seconds=500.0)) == short
    assert compiles(replace(LONG, seconds=None, total_flops=1e11)) == short
    assert compiles(replace(LONG, total_flops=1e11)) == short  # its steps end before its time
    assert compiles(replace(LONG, seconds=None)) == (False, "not compiled: the run may be short")


def test_a_wide_model_on_a_cpu_is_left_to_gptkits_own_parts_where_there_are_any(monkeypatch):
    wide = replace(LONG, n_embd=256)
    monkeypatch.setattr(chosen.shutil, "which", lambda name: name)
    monkeypatch.setattr(chosen, "no_parts", lambda: "")
    assert compiles(wide) == (False, "not compiled: gptkit's own parts are as fast")
    assert compiles(replace(LONG, n_embd=255))[0]
    monkeypatch.setattr(chosen, "no_parts", lambda: "no compiler")
    assert compiles(wide)[0]


def test_a_cpu_compiles_nothing_without_a_compiler(monkeypatch):
    monkeypatch.setattr(chosen.shutil, "which", lambda name: None)
    assert compiles(LONG)[1] == "not compiled: there is no C++ compiler"


def test_the_compiler_that_the_user_names_is_the_one_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "mine++")
    monkeypatch.setattr(chosen.shutil, "which", lambda name: name if name == "mine++" else None)

    assert compiles(LONG)[0]


def test_nothing_is_compiled_where_nothing_is_trained():
    assert choose_compile("auto", CPU, "float32", None) == (False, "")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ConfigError, match=r"runtime.device: 'cuda' is not available here"):
        choose_device("cuda")


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    assert choose_device("auto") == CPU


def test_more_ranks_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert choose_device("cuda", local_rank=1, world_size=3) == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"--devices: rank 2 has no GPU of its own, there are 2"):
        choose_device("cuda", local_rank=2, world_size=3)


def test_the_rate_of_a_cpu_is_measured():
    assert measured_flops(torch.float32, size=64, seconds=0.001) > 1e6


@pytest.mark.parametrize("wrong", [{"compile": "yes"}, {"compile": 1}, {"dtype": "int8"}], ids=str)
def test_settings_outside_the_choices_are_refused(wrong):
    with pytest.raises(ValueError):
        RuntimeConfig(**wrong)


def test_what_makes_a_cpu_slower_is_said(monkeypatch, cpu_without_bfloat16):
    monkeypatch.setattr(chosen, "no_parts", lambda: "there is no C++ compiler")

    _, reasons = choose(RuntimeConfig(device="cpu"), CPU, WIDE)

    assert reasons[-1] == "torch's operations alone, slower: there is no C++ compiler"
