import inspect

import pytest
import torch

from gptkit.training.optimizer_config import OPTIMIZERS, TORCH_CLASSES, AdamWConfig
from gptkit.training.optimizer_state import load_optimizer_state, optimizer_state
from gptkit.training.optimizers import parameter_groups, scale_learning_rates

# How something is computed, and what a loss that is minimised has no use for.
NOT_SETTINGS = {"foreach", "fused", "capturable", "differentiable", "maximize"}


def names_in(model, parameters):
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def built(name, model):
    return OPTIMIZERS.build(OPTIMIZERS.validate({"name": name}), model)


def step(optimizer, model, seed):
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def test_matrices_decay_and_vectors_do_not(make_model):
    model = make_model(preset="gpt2", bias=True)

    decayed, others = parameter_groups(model, 0.1)

    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0.0
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    assert names_in(model, others["params"]) == {
        name for name, parameter in model.named_parameters() if parameter.ndim == 1
    }


def test_embeddings_can_be_spared_from_decay(make_model):
    model = make_model(preset="gpt2")

    decayed, _ = parameter_groups(model, 0.1, decay_embeddings=False)

    spared = {n for n, p in model.named_parameters() if p.ndim == 2} - names_in(
        model, decayed["params"]
    )
    assert {name.partition(".")[0] for name in spared} == {"token_embedding", "positions"}


def test_a_head_of_its_own_decays_where_embeddings_do_not(make_model):
    model = make_model(tie_embeddings=False)

    decayed, _ = parameter_groups(model, 0.1, decay_embeddings=False)

    assert "lm_head.weight" in names_in(model, decayed["params"])


def test_adamw_runs_fused_on_a_cpu(make_model):
    optimizer = OPTIMIZERS.build(AdamWConfig(), make_model())

    assert all(group["fused"] for group in optimizer.param_groups)


def test_learning_rates_are_scaled_from_their_peak_each_time(make_model):
    optimizer = OPTIMIZERS.build(AdamWConfig(learning_rate=0.5), make_model())

    scale_learning_rates(optimizer, 0.1)
    scale_learning_rates(optimizer, 0.2)

    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]


@pytest.mark.parametrize("class_name", TORCH_CLASSES.values())
def test_settings_and_their_defaults_are_those_of_torch(class_name):
    parameters = inspect.signature(getattr(torch.optim, class_name)).parameters
    expected = {
        "learning_rate" if name == "lr" else name: parameter.default
        for name, parameter in parameters.items()
        if name not in NOT_SETTINGS and name != "params"
    }

    fields = dict(OPTIMIZERS[class_name.lower()].model_fields)
    del fields["name"]

    assert {name: field.default for name, field in fields.items()} == expected


def test_every_torch_optimizer_for_dense_parameters_is_there():
    classes = {
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }

    left_out = {"Optimizer", "LBFGS", "SparseAdam", "Muon", "AdamW"}
    assert classes - left_out == set(TORCH_CLASSES.values())


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_an_optimizer_steps_and_goes_on_bitwise_from_its_saved_state(make_model, name):
    original, copy = make_model(), make_model()
    optimizer = built(name, original)
    step(optimizer, original, seed=1)
    step(optimizer, original, seed=2)
    tensors, values = optimizer_state(optimizer, original)
    copy.load_state_dict(original.state_dict())

    resumed = built(name, copy)
    load_optimizer_state(resumed, copy, tensors, values)
    step(optimizer, original, seed=3)
    step(resumed, copy, seed=3)

    torch.testing.assert_close(copy.state_dict(), original.state_dict(), rtol=0, atol=0)
    again, values_again = optimizer_state(resumed, copy)
    expected, expected_values = optimizer_state(optimizer, original)
    torch.testing.assert_close(again, expected, rtol=0, atol=0)
    assert values_again == expected_values


@pytest.mark.parametrize("name", ["SGD", "sgd", "AdamW", "adafactor", "Adafactor"])
def test_torchs_own_spelling_names_the_same_optimizer(make_model, name):
    assert type(built(name, make_model())).__name__.lower() == name.lower()


def test_arguments_reach_the_optimizer(make_model):
    section = OPTIMIZERS.validate(
        {"name": "sgd", "learning_rate": 0.3, "momentum": 0.9, "nesterov": True}
    )

    group = OPTIMIZERS.build(section, make_model()).param_groups[0]

    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.3, 0.9, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "sgd", "nesterov": True},
        {"name": "sgd", "nesterov": True, "momentum": 0.9, "dampening": 0.1},
        {"name": "rprop", "etas": [1.5, 2.0]},
        {"name": "rprop", "weight_decay": 0.1},
        {"name": "adafactor", "beta2_decay": 0.5},
        {"name": "adamw", "betas": [0.9, 1.0]},
        {"name": "adam", "lr": 0.1},
        {"name": "lbfgs"},
    ],
    ids=str,
)
def test_arguments_that_torch_would_refuse_are_refused_with_the_config(wrong):
    with pytest.raises(ValueError):
        OPTIMIZERS.validate(wrong)


def test_weights_do_not_move_while_a_state_is_loaded(make_model):
    model = make_model()
    optimizer = built("adamw", model)
    step(optimizer, model, seed=1)
    tensors, values = optimizer_state(optimizer, model)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    load_optimizer_state(built("adamw", model), model, tensors, values)

    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
