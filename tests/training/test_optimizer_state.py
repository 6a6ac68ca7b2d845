import json

import pytest
import torch
from torch.amp.grad_scaler import GradScaler

from gptkit.errors import CheckpointError
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig
from gptkit.training.optimizer_state import load_optimizer_state, optimizer_state


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def stepped(model):
    """An AdamW that has taken a step."""
    optimizer = OPTIMIZERS.build(AdamWConfig(), model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def fresh(model):
    return OPTIMIZERS.build(AdamWConfig(), model)


def test_tensors_are_named_after_parameter_and_state(stepped, model):
    tensors, _ = optimizer_state(stepped, model)

    names = [name for name, _ in model.named_parameters()]
    keys = ("step", "exp_avg", "exp_avg_sq")
    assert set(tensors) == {f"{name}.{key}" for name in names for key in keys}


def test_values_are_json(stepped, model):
    _, values = optimizer_state(stepped, model)

    assert json.loads(json.dumps(values)) == {"class": "AdamW", "without_state": []}


def test_a_state_from_before_the_first_step_leaves_the_optimizer_fresh(model):
    tensors, values = optimizer_state(fresh(model), model)
    optimizer = fresh(model)

    load_optimizer_state(optimizer, model, tensors, values)

    assert tensors == {} and not optimizer.state


def test_a_parameter_that_no_gradient_reached_stays_without_state(model):
    optimizer = fresh(model)
    reached = model.token_embedding.weight
    reached.grad = torch.ones_like(reached)
    optimizer.step()
    tensors, values = optimizer_state(optimizer, model)
    resumed = fresh(model)

    load_optimizer_state(resumed, model, tensors, values)

    assert list(resumed.state) == [reached]


def test_a_missing_key_is_refused(stepped, model):
    tensors, values = optimizer_state(stepped, model)
    del tensors["final_norm.weight.exp_avg"]

    with pytest.raises(CheckpointError, match=r"lacks 'final_norm.weight.exp_avg'"):
        load_optimizer_state(fresh(model), model, tensors, values)


def test_an_unknown_key_is_refused(stepped, model):
    tensors, values = optimizer_state(stepped, model)
    tensors["final_norm.weight.momentum"] = torch.ones(16)

    with pytest.raises(CheckpointError, match=r"unknown 'final_norm.weight.momentum'"):
        load_optimizer_state(fresh(model), model, tensors, values)


def test_another_shape_is_refused(stepped, model):
    tensors, values = optimizer_state(stepped, model)
    tensors["final_norm.weight.exp_avg"] = torch.ones(17)

    with pytest.raises(
        CheckpointError,
        match=r"'final_norm.weight.exp_avg' has shape \(17,\), the model asks for \(16,\)",
    ):
        load_optimizer_state(fresh(model), model, tensors, values)


def test_the_state_of_another_class_is_refused(stepped, model):
    tensors, values = optimizer_state(stepped, model)
    other = OPTIMIZERS.build(OPTIMIZERS.validate({"name": "nadam"}), model)

    with pytest.raises(CheckpointError, match=r"it is of AdamW, but .* is NAdam"):
        load_optimizer_state(other, model, tensors, values)


def test_a_refused_state_leaves_the_optimizer_as_it_was(stepped, model):
    tensors, values = optimizer_state(stepped, model)
    tensors["final_norm.weight.exp_avg"] = torch.ones(17)
    optimizer = fresh(model)

    with pytest.raises(CheckpointError):
        load_optimizer_state(optimizer, model, tensors, values)

    assert not optimizer.state


def test_the_gradient_scaler_goes_on_from_its_scale(stepped, model):
    tensors, values = optimizer_state(stepped, model, GradScaler("cpu", init_scale=8.0))
    resumed = GradScaler("cpu")

    load_optimizer_state(fresh(model), model, tensors, json.loads(json.dumps(values)), resumed)

    assert resumed.get_scale() == 8.0
