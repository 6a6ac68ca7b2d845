"""The memory of a step that was never taken, against sizes worked out by hand."""

import pytest
import torch

from gptkit.insight.footprint import Footprint, StepShape, footprint
from gptkit.insight.size import parameters_by_part
from gptkit.model import GPT, ModelConfig
from gptkit.training.optimizer_config import OPTIMIZERS

CONFIG = ModelConfig(preset="gpt2", n_layer=2, n_head=2, n_embd=32, context_length=16)
VOCAB_SIZE = 50


def found(config=CONFIG, optimizer="adamw", rows=4, micro_batches=1, dtype=torch.float32):
    shape = StepShape(rows, config.context_length, micro_batches, dtype)
    return footprint(config, VOCAB_SIZE, OPTIMIZERS.validate({"name": optimizer}), shape)


@pytest.fixture
def parameters():
    return GPT(CONFIG, VOCAB_SIZE).num_parameters()


def test_weights_gradients_and_adamw_are_one_one_and_two_numbers_a_parameter(parameters):
    run = found()

    assert run.weights == run.gradients == 4 * parameters
    assert run.optimizer == pytest.approx(8 * parameters, rel=0.01)  # and the counts of steps
    assert run.checkpoint == run.weights + run.optimizer


@pytest.mark.parametrize(("optimizer", "numbers"), [("sgd", 0), ("adagrad", 1), ("adam", 2)])
def test_an_optimizer_takes_what_it_remembers(optimizer, numbers, parameters):
    assert found(optimizer=optimizer).optimizer == pytest.approx(
        4 * numbers * parameters, rel=0.01, abs=500
    )


def test_an_optimizer_that_looks_at_its_numbers_can_be_planned():
    assert 0 < found(optimizer="adafactor").optimizer < found(optimizer="adagrad").optimizer


def test_activations_grow_with_the_rows_and_weights_do_not():
    few, many = found(rows=4), found(rows=8)

    assert many.activations == pytest.approx(2 * few.activations, rel=0.02)
    assert many.logits == pytest.approx(2 * few.logits, rel=0.02)
    assert many.weights == few.weights


def test_the_logits_of_a_plain_loss_are_kept_once_as_probabilities():
    # log-softmax keeps (B T, V) float32, and the loss a few numbers per row
    assert found().logits == pytest.approx(4 * 16 * VOCAB_SIZE * 4, rel=0.2)


def test_what_saves_memory_shows():
    recomputed = CONFIG.model_copy(update={"activation_checkpointing": True})

    assert found(recomputed).activations < 0.5 * found().activations
    assert found(dtype=torch.bfloat16).activations < found().activations


def test_a_second_micro_batch_meets_the_gradient_of_the_first():
    one, two = found(rows=8), found(rows=8, micro_batches=2)

    # Of the first micro-batch only the gradient is left; there is one at the peak of one step too.
    assert one.step <= two.step <= one.step + one.gradients
    assert one.peak == max(one.step, one.evaluation) + one.checkpoint


def test_a_model_far_too_large_for_this_machine_is_planned_in_seconds():
    config = ModelConfig(n_layer=3, n_head=64, n_embd=16384, context_length=2048)

    run = found(config, rows=64)

    assert isinstance(run, Footprint)
    assert run.weights > 30e9
    assert run.step > 300e9


def test_parameters_by_part_add_up_and_equal_parts_of_blocks_are_one(parameters):
    parts = parameters_by_part(GPT(CONFIG, VOCAB_SIZE))

    assert sum(parts.values()) == parameters
    assert parts["token_embedding"] == VOCAB_SIZE * 32
    assert parts["norms"] == (2 * 2 + 1) * 2 * 32
    assert parts["mlp"] == 2 * (2 * 4 * 32 * 32 + 5 * 32)
