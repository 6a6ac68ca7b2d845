"""Whole runs: what is read from what they print, and the loss of what they save."""

import sys

import pytest
import torch
from common.runs import Ran, crossing_step, evaluations, full_split_loss, run, second_of_step

from gptkit.data.batches import EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.model import GPT, ModelConfig
from gptkit.runtime import Runtime
from gptkit.training.evaluate import evaluate

NANOGPT = Ran(
    30.0,
    29.0,
    [
        (3.0, "step 0: train loss 4.2087, val loss 4.2000"),
        (3.5, "iter 0: loss 4.2, time 400.00ms, mfu -100.00%"),
        (13.0, "step 250: train loss 2.4, val loss 2.5"),
        (23.0, "step 500: train loss 1.9, val loss 2.0"),
    ],
)


def test_the_lines_of_both_programs_say_when_what_was_reached():
    ours = Ran(
        9.0, 8.0, [(7.0, "step 60/60  loss 1.9  val loss 1.8811  2.7 bits/byte  9 tokens/s")]
    )

    assert evaluations(ours) == [(60, 7.0, 1.8811)]
    assert [step for step, _, _ in evaluations(NANOGPT)] == [0, 250, 500]


def test_a_target_is_crossed_at_the_first_step_that_is_as_good():
    assert crossing_step(NANOGPT, 2.5) == 250
    assert crossing_step(NANOGPT, 2.49) == 500
    assert crossing_step(NANOGPT, 1.9) is None


def test_the_second_of_a_step_lies_between_the_evaluations_around_it():
    assert second_of_step(NANOGPT, 250) == 13.0
    assert second_of_step(NANOGPT, 300) == pytest.approx(15.0)


@pytest.mark.parametrize("length", [501, 512])
def test_the_full_split_loss_is_that_of_gptkit(length):
    text = "".join("天地玄黄abc\n"[(i * i + i // 7) % 8] for i in range(10 * length))
    config = ModelConfig(n_layer=1, n_head=2, n_embd=16, context_length=16)
    model = GPT(config, len(set(text)))
    model.init_weights(1)
    characters = sorted(set(text))
    ids = torch.tensor([characters.index(c) for c in text[int(0.9 * len(text)) :]]).numpy()
    windows = EvaluationWindows(InMemoryTokens(ids.astype("uint16"), torch.zeros(1).numpy()), 16)

    loss = full_split_loss(model, text, 16)

    assert loss == pytest.approx(
        evaluate(model, windows, Runtime(torch.device("cpu"))).loss, abs=1e-5
    )


def test_a_run_is_timed_until_its_last_file_and_until_its_end(tmp_path):
    code = "import time; print('begun'); open('x', 'w').close(); time.sleep(0.5); print('ended')"

    ran = run([sys.executable, "-c", code], tmp_path, saved=lambda: [tmp_path / "x"])

    assert [line for _, line in ran.lines] == ["begun", "ended"]
    assert 0.4 < ran.seconds - ran.saved < ran.seconds
    assert ran.lines[1][0] - ran.lines[0][0] > 0.4


def test_a_command_that_fails_ends_the_benchmark_with_its_last_words(tmp_path):
    with pytest.raises(SystemExit, match="no such luck"):
        run([sys.executable, "-c", "raise ValueError('no such luck')"], tmp_path)
