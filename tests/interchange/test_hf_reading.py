"""Folders in Hugging Face's layout that others wrote, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptkit.errors import ConfigError
from gptkit.interchange.hf import Model, read_folder, write_folder
from gptkit.tokenizers.base import Tokenizer
from tests.interchange.conftest import random_model

NO_QK_NORM = {"qk_norm": False}


class TestReading:
    """Files that others wrote."""

    @pytest.fixture
    def folder(self, tokenizers: dict[str, Tokenizer], tmp_path: Path) -> Path:
        model = random_model(tokenizers["gpt2"], preset="gpt2")
        write_folder(tmp_path, model.config, model.state_dict(), tokenizers["gpt2"], card="")
        return tmp_path

    def change_tensors(self, folder: Path, change: Any) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file(change(tensors), folder / "model.safetensors", {"format": "pt"})

    def change_config(self, folder: Path, **keys: Any) -> None:
        path = folder / "config.json"
        data = json.loads(path.read_text(encoding="utf-8")) | keys
        path.write_text(json.dumps(data), encoding="utf-8")

    def same(self, found: Model, other: Model) -> bool:
        return all(torch.equal(found.weights[n], w) for n, w in other.weights.items())

    def test_the_names_of_older_gpt2_files_are_known(self, folder: Path) -> None:
        expected = read_folder(folder)
        self.change_tensors(
            folder,
            lambda tensors: {
                **{name.removeprefix("transformer."): t for name, t in tensors.items()},
                "h.0.attn.bias": torch.ones(1, 1, 24, 24),
                "h.1.attn.masked_bias": torch.tensor(-1e4),
            },
        )

        assert self.same(read_folder(folder), expected)

    def test_a_file_beside_its_config_is_enough(self, folder: Path) -> None:
        assert self.same(read_folder(folder / "model.safetensors"), read_folder(folder))

    def test_a_model_in_several_files_is_read(self, folder: Path) -> None:
        expected = read_folder(folder)
        tensors = load_file(folder / "model.safetensors")
        names = sorted(tensors)
        files = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
        for file, part in files.items():
            save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
        (folder / "model.safetensors").unlink()
        weight_map = {name: file for file, part in files.items() for name in part}
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"weight_map": weight_map}), encoding="utf-8"
        )

        assert self.same(read_folder(folder), expected)

    def test_a_head_that_repeats_its_embedding_is_no_other_tensor(self, folder: Path) -> None:
        expected = read_folder(folder)
        self.change_tensors(
            folder, lambda t: {**t, "lm_head.weight": t["transformer.wte.weight"].clone()}
        )

        assert self.same(read_folder(folder), expected)

    @pytest.mark.parametrize("index", [[], {}, {"weight_map": {"a": 3}}, {"weight_map": ["a"]}])
    def test_a_damaged_list_of_files_is_met_with_a_sentence(self, index: Any, folder: Path) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")

        with pytest.raises(ConfigError, match="does not say in 'weight_map'"):
            read_folder(folder)

    def test_a_head_without_its_embedding_is_a_missing_tensor(self, folder: Path) -> None:
        name = "transformer.wte.weight"
        self.change_tensors(
            folder,
            lambda t: {**{n: w for n, w in t.items() if n != name}, "lm_head.weight": t[name]},
        )

        with pytest.raises(ConfigError, match=f"'{name}' is missing"):
            read_folder(folder)

    def test_a_head_that_differs_is_refused(self, folder: Path) -> None:
        self.change_tensors(
            folder, lambda t: {**t, "lm_head.weight": t["transformer.wte.weight"] + 1}
        )

        with pytest.raises(ConfigError, match=r"'lm_head.weight' differs from the embedding"):
            read_folder(folder)

    def test_a_tensor_without_a_place_is_refused(self, folder: Path) -> None:
        self.change_tensors(folder, lambda t: {**t, "transformer.h.9.extra": torch.ones(2)})

        with pytest.raises(ConfigError, match=r"'transformer.h.9.extra' has no place"):
            read_folder(folder)

    def test_a_tensor_that_is_missing_is_named(self, folder: Path) -> None:
        name = "transformer.h.1.mlp.c_fc.bias"
        self.change_tensors(folder, lambda t: {n: w for n, w in t.items() if n != name})

        with pytest.raises(ConfigError, match=f"'{name}' is missing"):
            read_folder(folder)

    def test_a_tensor_of_another_shape_is_refused(self, folder: Path) -> None:
        name = "transformer.wpe.weight"
        self.change_tensors(folder, lambda t: {**t, name: t[name][:, :-1].contiguous()})

        with pytest.raises(ConfigError, match=r"'transformer.wpe.weight' has the shape"):
            read_folder(folder)

    @pytest.mark.parametrize(
        ("keys", "problem"),
        [
            ({"model_type": "mamba"}, "'mamba' is not supported; supported: qwen3, llama"),
            ({"activation_function": "silu"}, "activation_function: 'silu'"),
            ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: True"),
            ({"n_head": 5}, "must be a multiple of n_head"),
            ({"vocab_size": "many"}, "vocab_size"),
        ],
    )
    def test_a_config_that_gptkit_cannot_be_is_refused(
        self, folder: Path, keys: dict[str, Any], problem: str
    ) -> None:
        self.change_config(folder, **keys)

        with pytest.raises(ConfigError, match=problem):
            read_folder(folder)

    @pytest.mark.parametrize(
        ("keys", "problem"),
        [
            ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_type 'llama3'"),
            ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type 'yarn'"),
            ({"attention_bias": True}, "attention_bias: True"),
            ({"attention_bias": True, "mlp_bias": True}, "attention_bias: True"),
            ({"layer_types": ["full_attention", "sliding_attention"]}, "'sliding_attention'"),
            ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: 0.5"),
            (
                {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}},
                "another one for each kind of layer",
            ),
            ({"hidden_act": "gelu"}, "hidden_act: 'gelu'"),
            ({"use_sliding_window": True}, "use_sliding_window: True"),
        ],
    )
    def test_what_llama_and_qwen3_may_do_and_gptkit_does_not_is_refused(
        self,
        tokenizers: dict[str, Tokenizer],
        tmp_path: Path,
        keys: dict[str, Any],
        problem: str,
    ) -> None:
        model = random_model(tokenizers["gpt2"])
        write_folder(tmp_path, model.config, model.state_dict(), tokenizers["gpt2"], card="")
        self.change_config(tmp_path, **keys)

        with pytest.raises(ConfigError, match=problem):
            read_folder(tmp_path)

    def test_biases_in_some_of_llamas_layers_are_refused(
        self, tokenizers: dict[str, Tokenizer], tmp_path: Path
    ) -> None:
        model = random_model(tokenizers["gpt2"], attention=NO_QK_NORM)
        write_folder(tmp_path, model.config, model.state_dict(), tokenizers["gpt2"], card="")
        self.change_config(tmp_path, attention_bias=True)

        with pytest.raises(ConfigError, match="attention_bias is True and mlp_bias False"):
            read_folder(tmp_path)

    def test_pickles_are_not_opened(self, folder: Path) -> None:
        (folder / "pytorch_model.bin").write_bytes(b"x")

        with pytest.raises(ConfigError, match=r"not a .safetensors file"):
            read_folder(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    "keys",
    [
        {"n_layer": 10**9},
        {"n_positions": 10**12},
        {"n_head": 0},
        {"n_embd": "16"},
        {"n_embd": None},
        {"eos_token_id": [3, 4]},
        {"vocab_size": -1},
        {"n_layer": True},
    ],
)
def test_a_config_that_claims_anything_is_met_with_a_sentence(
    keys: dict[str, Any], tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = random_model(tokenizers["gpt2"], preset="gpt2")
    write_folder(tmp_path, model.config, model.state_dict(), tokenizers["gpt2"], card="")
    data = json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) | keys
    (tmp_path / "config.json").write_text(json.dumps(data), encoding="utf-8")

    if keys.keys() == {"eos_token_id"}:
        assert read_folder(tmp_path).end_of_text == 3
        return
    with pytest.raises(ConfigError):
        read_folder(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "3", '{"model_type": ["gpt2"]}', "{}"])
def test_a_damaged_config_is_met_with_a_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"config\.json"):
        read_folder(tmp_path)


def test_damaged_weights_are_met_with_a_sentence(
    tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = random_model(tokenizers["gpt2"], preset="gpt2")
    write_folder(tmp_path, model.config, model.state_dict(), tokenizers["gpt2"], card="")
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])

    with pytest.raises(ConfigError, match=r"model\.safetensors: cannot be loaded"):
        read_folder(tmp_path)
