"""What Muon remembers, and what it does with gradients that must not reach the weights."""

import pytest
import torch
from torch.amp.grad_scaler import GradScaler

from gptkit.errors import CheckpointError, DivergenceError
from gptkit.training.muon import hidden_matrices
from gptkit.training.optimizer_config import OPTIMIZERS, AdamWConfig, MuonConfig
from gptkit.training.optimizer_state import load_optimizer_state, optimizer_state
from gptkit.training.update import Update


def built(model):
    return OPTIMIZERS.build(MuonConfig(), model)


def give_gradients(model, *, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def take_steps(optimizer, model, *seeds):
    for seed in seeds:
        give_gradients(model, seed=seed)
        optimizer.step()


def copied(state):
    return {key: tensor.clone() for key, tensor in state.items()}


class TestState:
    def test_a_matrix_keeps_momentum_alone(self, make_model):
        model = make_model()
        optimizer = built(model)
        take_steps(optimizer, model, 1)

        tensors, values = optimizer_state(optimizer, model)

        hidden = {name for name, p in model.named_parameters() if p in hidden_matrices(model)}
        assert {key for key in tensors if key.endswith(".momentum_buffer")} == {
            f"{name}.momentum_buffer" for name in hidden
        }
        assert not any(f"{name}.exp_avg" in tensors for name in hidden)
        assert "final_norm.weight.exp_avg_sq" in tensors
        assert values == {"class": "Muon", "without_state": []}

    def test_a_run_that_goes_on_from_a_saved_state_ends_with_the_same_bits(self, make_model):
        whole, model = make_model(), make_model()
        take_steps(built(whole), whole, 1, 2, 3, 4)
        first = built(model)
        take_steps(first, model, 1, 2)
        tensors, values = optimizer_state(first, model)

        resumed = built(model)
        load_optimizer_state(resumed, model, copied(tensors), values)
        take_steps(resumed, model, 3, 4)

        torch.testing.assert_close(model.state_dict(), whole.state_dict(), rtol=0, atol=0)

    @pytest.mark.parametrize("stop", [1, 5])
    def test_a_whole_run_goes_on_with_the_same_bits(self, make_run, stop):
        settings = {"optimizer_settings": {"name": "muon"}, "settings": {"save_every": 1}}
        whole, part = make_run(**settings), make_run(**settings)
        whole.train()

        part.resume(whole.saved[stop])
        part.train()

        torch.testing.assert_close(part.weights(), whole.weights(), rtol=0, atol=0)

    def test_the_state_of_adamw_is_refused(self, make_model):
        model = make_model()
        adamw = OPTIMIZERS.build(AdamWConfig(), model)
        take_steps(adamw, model, 1)

        with pytest.raises(CheckpointError, match="it is of AdamW"):
            load_optimizer_state(built(model), model, *optimizer_state(adamw, model))

    def test_a_parameter_without_a_gradient_stays_as_it_is(self, make_model):
        model = make_model()
        spared = [model.blocks[0].mlp.down_proj.weight, model.final_norm.weight]
        before = [weight.detach().clone() for weight in spared]
        optimizer = built(model)
        give_gradients(model, seed=1)
        for weight in spared:
            weight.grad = None

        optimizer.step()

        assert all(torch.equal(*pair) for pair in zip(spared, before, strict=True))
        assert not any(optimizer.state.get(weight) for weight in spared)


class TestFaultySteps:
    def test_a_gradient_that_is_not_finite_ends_the_run_before_a_weight_moves(
        self, make_model, runtime
    ):
        model = make_model()
        update = Update(built(model), grad_clip=1.0, runtime=runtime)
        give_gradients(model, seed=1)
        model.blocks[0].mlp.up_proj.weight.grad[0, 0] = torch.inf
        before = copied(model.state_dict())

        with pytest.raises(DivergenceError):
            update.apply(torch.tensor(1.0), step=1)

        torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)

    def test_an_update_moves_every_weight(self, make_model, runtime):
        model = make_model()
        before = copied(model.state_dict())
        give_gradients(model, seed=1)

        Update(built(model), grad_clip=1.0, runtime=runtime).apply(torch.tensor(1.0), step=1)

        assert not any(torch.equal(weight, before[n]) for n, weight in model.state_dict().items())

    def test_a_flagged_step_leaves_weights_and_state_and_the_next_goes_on(self, make_model):
        model, twin = make_model(), make_model()
        optimizer, reference = built(model), built(twin)
        take_steps(optimizer, model, 1)
        take_steps(reference, twin, 1)

        give_gradients(model, seed=2)
        for parameter in model.parameters():
            parameter.grad[0] = torch.nan
        optimizer.found_inf = torch.tensor(1.0)
        optimizer.step()
        torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=0)

        optimizer.found_inf = torch.tensor(0.0)
        take_steps(optimizer, model, 3)
        take_steps(reference, twin, 3)

        torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=0)
        tensors, expected = (
            optimizer_state(o, m)[0] for o, m in [(optimizer, model), (reference, twin)]
        )
        torch.testing.assert_close(tensors, expected, rtol=0, atol=0)

    def test_the_gradient_scaler_leaves_out_a_step_that_overflowed(self, make_model):
        model = make_model()
        optimizer, scaler = built(model), GradScaler("cpu", init_scale=8.0)
        before = copied(model.state_dict())
        scaler.scale(torch.zeros(()))
        give_gradients(model, seed=1)
        model.final_norm.weight.grad[0] = torch.inf

        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()

        torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
        assert scaler.get_scale() == 4.0
