"""gptkit export gguf, as a user calls it."""

import sys

import pytest

from gptkit.interchange import extras
from gptkit.interchange import gguf as gguf_room
from tests.cli.conftest import CONFIG
from tests.interchange import mistakes

pytest.importorskip("gguf", reason="GGUF is written with the package gguf (gptkit[gguf])")
llama_cpp = pytest.mark.skipif(
    extras.find_spec("xllamacpp") is None,
    reason="llama.cpp comes with the package xllamacpp (gptkit[llama])",
)


@pytest.fixture
def llama(project, gptkit):
    """A char model of Llama's shape after one step."""
    text = CONFIG.replace("max_steps: 6", "max_steps: 1")
    text = text.replace("model: {", "model: {attention: {qk_norm: false}, ")
    (project / "my.yaml").write_text(text, "utf-8")
    assert gptkit("train", "my.yaml").code == 0
    return project


@llama_cpp
def test_an_export_is_proved_by_llama_cpp(trained, gptkit):
    result = gptkit("export", "gguf", "--out", "模型.gguf")

    assert result.code == 0, result.err
    assert (trained / "模型.gguf").is_file()
    assert "top-50 log-probabilities, F16" in result.out and "tokenizer, F16" in result.out


@llama_cpp
@pytest.mark.parametrize("number_type", ["Q8_0", "BF16"])
def test_what_is_rounded_much_is_proved_in_float32_first(number_type, trained, gptkit):
    result = gptkit("export", "gguf", "--out", "small", "--dtype", number_type)

    assert result.code == 0, result.err
    assert "log-probabilities, F32" in result.out
    assert f"log-probabilities, {number_type}" in result.out
    assert [path.name for path in (trained / "small").iterdir()] == ["model.gguf"]


def test_without_llama_cpp_a_warning_says_what_was_not_proved(trained, gptkit, monkeypatch):
    """Not even its own modules may need it: they are loaded anew."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    for module in ("interchange.gguf_proof", "interchange.llama_child"):
        monkeypatch.delitem(sys.modules, f"gptkit.{module}", raising=False)
    monkeypatch.delitem(sys.modules, "gptkit.recipes.interchange.export_gguf", raising=False)

    result = gptkit("export", "gguf", "--out", "m.gguf")

    assert result.code == 0, result.err
    assert "xllamacpp is not installed (pip install 'gptkit[llama]')" in result.err
    assert "read back: weights" in result.out and "llama.cpp" not in result.out


def test_without_gguf_the_extra_is_named(trained, gptkit, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(gguf_room, "import_module", missing)

    result = gptkit("export", "gguf", "--out", "m.gguf")

    assert result.code == 2 and "pip install 'gptkit[gguf]'" in result.err


def test_what_exists_is_not_overwritten(trained, gptkit):
    (trained / "m.gguf").write_bytes(b"kept")

    result = gptkit("export", "gguf", "--out", "m.gguf")

    assert result.code == 2 and (trained / "m.gguf").read_bytes() == b"kept"


@llama_cpp
class TestPlantedMistakes:
    """An export that is wrong ends with an error and leaves nothing behind."""

    def assert_refused(self, gptkit, folder, words, *options):
        result = gptkit("export", "gguf", "--out", "m.gguf", *options)

        assert result.code == 1, result.err
        assert "was not kept" in result.err and words in result.err
        assert [path.name for path in folder.iterdir() if "gguf" in path.name] == []

    @pytest.mark.parametrize("number_type", ["f32", "f16", "q8_0"])
    def test_unpermuted_queries_and_keys(self, number_type, llama, gptkit, monkeypatch):
        monkeypatch.setattr(gguf_room, "permute", lambda arch, config, name, data: data)

        self.assert_refused(gptkit, llama, "log-probabilities", "--dtype", number_type)

    def test_missing_rope_theta(self, trained, gptkit, monkeypatch):
        # 10,000 is what llama.cpp takes where the key is missing.
        result = gptkit(
            "train",
            "my.yaml",
            "--set",
            "model.positions.theta=500",
            "--set",
            "training.max_steps=1",
        )
        assert result.code == 0
        original = gguf_room.require_gguf()
        monkeypatch.setattr(original.GGUFWriter, "add_rope_freq_base", lambda self, theta: None)

        self.assert_refused(gptkit, trained, "log-probabilities")

    def test_lost_qk_norm(self, trained, gptkit, monkeypatch):
        original = gguf_room.gguf_tensors

        def lost(*args):
            return ((name, data) for name, data in original(*args) if "q_norm" not in name)

        monkeypatch.setattr(gguf_room, "gguf_tensors", lost)

        self.assert_refused(gptkit, trained, "attn_q_norm.weight")

    def test_swapped_gate_and_up(self, trained, gptkit, monkeypatch):
        mistakes.swap_gate_and_up(monkeypatch)

        self.assert_refused(gptkit, trained, "log-probabilities")

    def test_padded_vocabulary_rows(self, trained, gptkit, monkeypatch):
        mistakes.pad_vocabulary(monkeypatch, gguf_room)
        monkeypatch.setattr(gguf_room, "num_tokens", lambda tokenizer: None)

        self.assert_refused(gptkit, trained, "token_embd.weight")
