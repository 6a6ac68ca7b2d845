"""What the benchmarks share: steps, their cost on paper, pages."""

import sys

import pytest
import torch
from common.page import command, table
from common.programs import Program, like_for_like, seconds_of_steps
from common.shapes import SHAPES, Shape, parse_batch
from common.turns import Job, take_turns

from gptkit.model import GPT, ModelConfig

TINY = SHAPES["tiny"]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_flops_of_a_step_are_those_that_the_model_says(name):
    shape = SHAPES[name]
    config = ModelConfig(
        preset="gpt2",
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        context_length=shape.context_length,
    )
    with torch.device("meta"):
        model = GPT(config, shape.vocab_size)

    assert shape.step_flops(causal=False) == shape.tokens * model.flops_per_token()


def test_the_flops_of_gpt2_are_the_published_ones():
    gpt2 = Shape(12, 12, 768, 1024, 1, 50_257)

    assert gpt2.step_flops(causal=False) / gpt2.tokens == pytest.approx(854.4e6, rel=1e-3)
    assert gpt2.step_flops(causal=True) / gpt2.tokens == pytest.approx(797.8e6, rel=1e-3)


def test_a_shape_with_another_batch_is_the_same_model():
    other = TINY.with_batch(*parse_batch("7x5"))

    assert other.tokens == 35
    assert (other.n_layer, other.n_embd, other.vocab_size) == (
        TINY.n_layer,
        TINY.n_embd,
        TINY.vocab_size,
    )


@pytest.mark.parametrize("preset", ["gpt2", "modern"])
def test_gptkit_does_the_steps_asked_for(preset):
    seconds = seconds_of_steps(Program("gptkit", "float32", preset=preset), TINY, "cpu", 3, None)

    assert len(seconds) == 3
    assert min(seconds) > 0


def test_the_trainer_of_transformers_does_the_steps_asked_for():
    pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")

    seconds = seconds_of_steps(Program("transformers", "float32"), TINY, "cpu", 3, None)

    assert len(seconds) == 3


def test_programs_that_are_not_here_are_left_out_with_a_word(capsys):
    programs = like_for_like("cpu", None)

    assert "nanoGPT" not in {program.library for program in programs}
    assert "without nanoGPT" in capsys.readouterr().err


def test_a_process_of_its_own_measures_time_memory_and_ceiling():
    job = Job(Program("gptkit", "float32"), TINY, steps=2, with_ceiling=True)

    (found,) = take_turns([job], rounds=1)

    assert found.seconds > 0
    assert 50 < found.peak_mib < 5000
    assert found.ceiling > 1e8


def test_a_program_that_fails_ends_the_benchmark_with_its_words():
    job = Job(Program("nanoGPT", "float32"), TINY, steps=1)

    with pytest.raises(SystemExit, match="nanoGPT needs a checkout"):
        take_turns([job], rounds=1)


def test_a_page_names_no_place_of_the_machine(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/home/me/benchmarks/x.py", "--nanogpt", "/home/me/nanoGPT", "--rounds", "3"]
    )

    assert command() == "python benchmarks/x.py --nanogpt nanoGPT --rounds 3"


def test_a_table_has_a_line_for_each_row():
    assert table(["a"], [["1"], ["2"]]).splitlines() == ["| a |", "|---|", "| 1 |", "| 2 |"]
