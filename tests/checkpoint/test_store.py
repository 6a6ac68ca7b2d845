"""Tensors and texts come out of a checkpoint as they went in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gptkit.checkpoint import SaveError, checkpoints, verify
from gptkit.checkpoint.store import (
    Contents,
    OptimizerState,
    load_config_text,
    load_optimizer,
    load_state,
    load_weights,
    plugin_files,
    save,
    weight_shapes,
)
from gptkit.errors import CheckpointError, DivergenceError
from gptkit.tokenizers.char import CharTokenizer
from gptkit.tokenizers.store import load_tokenizer

CONFIG = "model: {n_layer: 2}  # 设置\n"


def weights(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "blocks.0.weight": torch.randn(5, 3, generator=generator).to(dtype),
        "norm.weight": torch.randn(3, generator=generator).to(dtype),
        "scale": torch.tensor(2.5, dtype=dtype),
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def contents() -> Contents:
    return Contents(
        config=CONFIG,
        tokenizer=CharTokenizer("abc猫"),
        weights=weights(),
        state={"progress": {"step": 7, "best_val_loss": 1.25}, "world_size": 2},
        optimizer=OptimizerState(
            {"norm.weight.exp_avg": torch.arange(3.0)}, {"norm.weight.step": 7, "class": "AdamW"}
        ),
        plugins={"my_attention.py": "pass\n"},
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64])
def test_weights_come_back_bit_for_bit(
    run_dir: Path, contents: Contents, dtype: torch.dtype
) -> None:
    saved = weights(dtype)
    folder = save(run_dir, 7, replace(contents, weights=saved))

    loaded = load_weights(folder)

    assert loaded.keys() == saved.keys()
    for name, tensor in saved.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)


def test_everything_else_comes_back_too(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, contents)

    optimizer = load_optimizer(folder)
    state = load_state(folder)

    assert optimizer.tensors["norm.weight.exp_avg"].tolist() == [0, 1, 2]
    assert optimizer.scalars == {"norm.weight.step": 7, "class": "AdamW"}
    assert state["progress"] == {"step": 7, "best_val_loss": 1.25}
    assert state["world_size"] == 2
    assert load_config_text(folder) == CONFIG
    assert load_tokenizer(folder / "tokenizer.json").decode([3, 0]) == "猫a"
    assert [path.name for path in plugin_files(folder)] == ["my_attention.py"]


def test_a_saved_checkpoint_verifies_and_holds_what_the_contract_says(
    run_dir: Path, contents: Contents
) -> None:
    folder = save(run_dir, 7, replace(contents, plugins={}))

    assert verify(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == [
        "MANIFEST.json",
        "config.yaml",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
        "tokenizer.json",
    ]


def test_equal_contents_make_equal_bytes(tmp_path: Path, contents: Contents) -> None:
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folders.append(save(tmp_path / name, 7, contents))

    for path in folders[0].rglob("*.*"):
        other = folders[1] / path.relative_to(folders[0])
        assert path.read_bytes() == other.read_bytes()


def test_loaded_weights_outlive_the_folder(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, contents)
    loaded = load_weights(folder)
    path = folder / "model.safetensors"
    path.write_bytes(b"\0" * path.stat().st_size)

    torch.testing.assert_close(loaded["norm.weight"], contents.weights["norm.weight"])


def test_views_and_shared_tensors_are_saved_each_whole(run_dir: Path, contents: Contents) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    shared = {"whole": whole, "same": whole, "turned": whole.T, "row": whole[1]}
    folder = save(run_dir, 7, replace(contents, weights=shared))

    loaded = load_weights(folder)

    assert all(torch.equal(loaded[name], shared[name]) for name in shared)


def test_parameters_that_need_gradients_can_be_saved(run_dir: Path, contents: Contents) -> None:
    model = nn.Linear(2, 2)
    folder = save(run_dir, 7, replace(contents, weights=dict(model.named_parameters())))

    assert not load_weights(folder)["weight"].requires_grad


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_never_saved(
    run_dir: Path, contents: Contents, value: float
) -> None:
    bad = weights()
    bad["blocks.0.weight"][4, 2] = value

    with pytest.raises(DivergenceError, match=r"weight 'blocks\.0\.weight' is not finite"):
        save(run_dir, 7, replace(contents, weights=bad))
    assert list(run_dir.iterdir()) == []


def test_nan_in_the_optimizer_is_never_saved(run_dir: Path, contents: Contents) -> None:
    bad = OptimizerState({"moment": torch.tensor([float("nan")])}, {})

    with pytest.raises(DivergenceError, match="optimizer state 'moment' is not finite"):
        save(run_dir, 7, replace(contents, optimizer=bad))


def test_a_checkpoint_without_optimizer_says_that_training_cannot_go_on(
    run_dir: Path, contents: Contents
) -> None:
    folder = save(run_dir, 7, replace(contents, optimizer=None))

    assert verify(folder) == []
    with pytest.raises(CheckpointError, match=r"holds no optimizer\.safetensors"):
        load_optimizer(folder)


def test_an_optimizer_without_tensors_comes_back(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, replace(contents, optimizer=OptimizerState({}, {"class": "SGD"})))

    assert load_optimizer(folder) == OptimizerState({}, {"class": "SGD"})


def test_a_state_that_json_cannot_hold_leaves_nothing(run_dir: Path, contents: Contents) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(run_dir, 7, replace(contents, state={"loss": float("nan")}))

    assert checkpoints(run_dir) == []


def test_a_disk_that_fills_up_inside_a_tensor_file_is_reported(
    run_dir: Path, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def full(*args: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("gptkit.checkpoint.store.save_file", full)

    with pytest.raises(SaveError, match="No space left on device"):
        save(run_dir, 7, contents)
    assert list((run_dir / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        (1 << 63).to_bytes(8, "little"),
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        b"\x80\x04}q\x00.",
    ],
    ids=["empty", "short", "2^63", "2^62", "not an object", "pickle"],
)
def test_a_malicious_tensor_file_is_refused(
    run_dir: Path, contents: Contents, content: bytes
) -> None:
    folder = save(run_dir, 7, contents)
    (folder / "model.safetensors").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be loaded"):
        load_weights(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"optimizer": NaN}',
        b'{"optimizer": {"x": 1e400}}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_malicious_state_is_refused(run_dir: Path, contents: Contents, content: bytes) -> None:
    folder = save(run_dir, 7, contents)
    (folder / "state.json").write_bytes(content)

    with pytest.raises(CheckpointError, match=r"state\.json"):
        load_state(folder)


def test_an_absurdly_large_state_is_refused(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, contents)
    with (folder / "state.json").open("wb") as file:
        file.truncate(1 << 30)

    with pytest.raises(CheckpointError, match="absurdly large"):
        load_state(folder)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_are_not_loaded(
    run_dir: Path, contents: Contents, number: float
) -> None:
    folder = save(run_dir, 7, contents)
    bad = {**weights(), "scale": torch.tensor(number, dtype=torch.float64)}
    save_file(bad, folder / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"model\.safetensors: 'scale' is not finite"):
        load_weights(folder)


def test_shapes_are_known_without_reading_the_weights(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, contents)

    assert weight_shapes(folder) == {"blocks.0.weight": (5, 3), "norm.weight": (3,), "scale": ()}


def test_numbers_of_a_kind_that_no_model_is_trained_in_are_refused(
    run_dir: Path, contents: Contents
) -> None:
    folder = save(run_dir, 7, contents)
    save_file({"w": torch.zeros(2, dtype=torch.complex64)}, folder / "model.safetensors")

    with pytest.raises(CheckpointError, match=r"'w' is of torch\.complex64"):
        load_weights(folder)


def test_the_files_hold_no_time_path_or_host(run_dir: Path, contents: Contents) -> None:
    folder = save(run_dir, 7, contents)

    state = json.loads((folder / "state.json").read_bytes())
    assert set(state) == {"progress", "world_size", "optimizer", "tokenizer_sha256", "versions"}
    assert str(run_dir).encode() not in b"".join(
        path.read_bytes() for path in folder.rglob("*.*") if path.is_file()
    )


def test_saving_first_removes_what_dead_processes_left(run_dir: Path, contents: Contents) -> None:
    stray = run_dir / "checkpoints" / ".step_00000001.tmp-1-abcd"
    stray.mkdir(parents=True)
    (stray / "half").write_bytes(b"x")
    folder = save(run_dir, 7, contents)

    assert list((run_dir / "checkpoints").iterdir()) == [folder]
