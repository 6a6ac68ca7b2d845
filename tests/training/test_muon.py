import math

import pytest
import torch
from torch import nn

from gptkit.model.ladder import MODELS, BigramConfig, RNNConfig
from gptkit.training import orthogonal
from gptkit.training.muon import Muon, hidden_matrices, lr_ratio
from gptkit.training.optimizer_config import OPTIMIZERS, MuonConfig
from gptkit.training.optimizers import parameter_groups, scale_learning_rates

torch_has_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9"
)


@pytest.fixture
def in_float32(monkeypatch):
    """Iterate in float32 whatever the hardware, torch's Muon too."""
    monkeypatch.setattr(orthogonal, "_fastest_dtype", lambda device: torch.float32)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def random_matrices(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(parameters, *, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def over(matrices, *, rows=None, **settings):
    """Return Muon over these matrices alone."""
    settings = {
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.2,
        "ns_coefficients": "original",
        "ns_steps": 5,
        "adjust_lr_fn": "original",
        **settings,
    }
    rows = rows or [(matrix.shape[0],) for matrix in matrices]
    for_adamw = {"adamw_lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-8, "fused": True}
    return Muon(dict(zip(matrices, rows, strict=True)), [], **settings, **for_adamw)


def built(model, **settings):
    return OPTIMIZERS.build(MuonConfig(**settings), model)


def take_steps(optimizer, model, *seeds):
    for seed in seeds:
        give_gradients(model.parameters(), seed=seed)
        optimizer.step()


def names_of(model, group):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter] for parameter in group["params"]}


class TestAgainstTorch:
    SHAPES = ((16, 16), (48, 16), (16, 48), (16, 16), (48, 16), (12, 20))

    @torch_has_muon
    @pytest.mark.parametrize("adjust_lr_fn", ["original", "match_rms_adamw"])
    def test_each_step_is_that_of_torchs_muon(self, in_float32, adjust_lr_fn):
        ours, theirs = random_matrices(*self.SHAPES), random_matrices(*self.SHAPES)
        optimizer = over(ours, adjust_lr_fn=adjust_lr_fn)
        reference = torch.optim.Muon(
            theirs, lr=0.1, momentum=0.9, weight_decay=0.2, adjust_lr_fn=adjust_lr_fn
        )

        for step in range(5):
            give_gradients(ours, seed=step)
            give_gradients(theirs, seed=step)
            optimizer.step()
            reference.step()
            for mine, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(mine, other, rtol=0, atol=2e-5)

    @torch_has_muon
    def test_in_bfloat16_a_step_is_that_of_torchs_muon_but_for_rounding(self, monkeypatch):
        monkeypatch.setattr(orthogonal, "_fastest_dtype", lambda device: torch.bfloat16)
        ours, theirs = random_matrices(*self.SHAPES), random_matrices(*self.SHAPES)
        give_gradients(ours, seed=1)
        give_gradients(theirs, seed=1)

        over(ours).step()
        torch.optim.Muon(theirs, lr=0.1, momentum=0.9, weight_decay=0.2).step()

        # A number of the update is at most 0.1 * sqrt(3); bfloat16 has 8 bits of it.
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=5e-3)

    def test_all_but_the_matrices_of_blocks_move_as_under_torchs_adamw(self, make_model):
        model, twin = make_model(bias=True), make_model(bias=True)
        settings = {"betas": (0.8, 0.95), "eps": 1e-9}
        optimizer = built(model, adamw_learning_rate=0.01, weight_decay=0.3, **settings)
        rest = parameter_groups(twin, 0.3, without=hidden_matrices(twin))
        reference = torch.optim.AdamW(rest, lr=0.01, fused=True, **settings)

        take_steps(optimizer, model, 1, 2, 3)
        take_steps(reference, twin, 1, 2, 3)

        weights = dict(model.named_parameters())
        hidden = {name for name, p in twin.named_parameters() if p in hidden_matrices(twin)}
        for name, weight in twin.named_parameters():
            assert torch.equal(weights[name], weight) == (name not in hidden), name


def test_rows_move_by_the_rate_or_numbers_by_a_fifth_of_it():
    for rows, columns in ((16, 16), (64, 16), (16, 64)):
        (matrix,) = random_matrices((min(rows, columns), max(rows, columns)))
        exact = torch.linalg.svd(matrix.detach(), full_matrices=False)
        orthogonal = exact.U @ exact.Vh
        if rows > columns:
            orthogonal = orthogonal.mT

        lengths = (lr_ratio(rows, columns, "original") * orthogonal).norm(dim=1)
        rms = (lr_ratio(rows, columns, "match_rms_adamw") * orthogonal).square().mean().sqrt()

        assert math.isclose(lengths.square().mean().sqrt(), 1.0, rel_tol=1e-4)
        assert math.isclose(rms, 0.2, rel_tol=1e-4)


class TestGroups:
    def test_muon_has_the_linear_layers_of_the_blocks_and_adamw_the_rest(self, make_model):
        model = make_model(bias=True, preset="gpt2")

        matrices, decayed, vectors = built(model).param_groups

        layers = ("attention.qkv_proj", "attention.out_proj", "mlp.up_proj", "mlp.down_proj")
        assert names_of(model, matrices) == {
            f"blocks.{block}.{layer}.weight" for block in range(2) for layer in layers
        }
        assert names_of(model, decayed) == {"token_embedding.weight", "positions.embedding.weight"}
        assert all(parameter.ndim == 1 for parameter in vectors["params"])

    @pytest.mark.parametrize("tie_embeddings", [True, False])
    def test_each_parameter_is_in_one_group(self, make_model, tie_embeddings):
        model = make_model(tie_embeddings=tie_embeddings)

        groups = built(model).param_groups

        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())

    @pytest.mark.parametrize("config", [BigramConfig(), RNNConfig(n_embd=8)])
    def test_without_blocks_adamw_has_everything(self, config):
        model = MODELS.build(config, 11)
        optimizer = built(model)

        assert {group["algorithm"] for group in optimizer.param_groups} == {"adamw"}
        held = [p for group in optimizer.param_groups for p in group["params"]]
        assert len(held) == len(list(model.parameters()))

    def test_a_head_of_its_own_is_no_matrix_of_the_blocks(self, make_model):
        model = make_model(tie_embeddings=False)

        assert model.lm_head.weight not in hidden_matrices(model)

    def test_attention_says_where_queries_keys_and_values_lie(self, make_model):
        model = make_model(attention={"name": "multi_head", "n_kv_head": 1, "head_dim": 4})

        rows = hidden_matrices(model)

        assert rows[model.blocks[0].attention.qkv_proj.weight] == (8, 4, 4)
        assert rows[model.blocks[0].mlp.down_proj.weight] == (16,)

    def test_vectors_do_not_decay(self, make_model):
        decays = [group["weight_decay"] for group in built(make_model()).param_groups]

        assert decays == [0.1, 0.1, 0.0]

    def test_a_fused_weight_moves_as_its_matrices_would_alone(self, in_float32):
        (fused,) = random_matrices((16, 8))
        parts = [nn.Parameter(part.detach().clone()) for part in fused.split((8, 4, 4))]
        together, apart = over([fused], rows=[(8, 4, 4)]), over(parts)

        for step in range(3):
            give_gradients([fused], seed=step)
            for part, gradient in zip(parts, fused.grad.split((8, 4, 4)), strict=True):
                part.grad = gradient.clone()
            together.step()
            apart.step()

        torch.testing.assert_close(fused, torch.cat(list(parts)))

    def test_a_fused_weight_is_not_one_matrix(self, in_float32):
        (fused,), (whole,) = random_matrices((16, 8)), random_matrices((16, 8))
        give_gradients([fused, whole], seed=1)
        whole.grad = fused.grad

        over([fused], rows=[(8, 4, 4)]).step()
        over([whole]).step()

        assert not torch.allclose(fused, whole, atol=1e-2)


def test_settings_reach_both_halves(make_model):
    settings = {"momentum": 0.8, "ns_steps": 3, "ns_coefficients": "polar_express"}
    settings["adjust_lr_fn"] = "match_rms_adamw"
    for_adamw = {"betas": (0.7, 0.9), "eps": 1e-7}

    matrices, *others = built(make_model(), **settings, **for_adamw).param_groups

    assert {key: matrices[key] for key in settings} == settings
    assert all({key: group[key] for key in for_adamw} == for_adamw for group in others)


class TestRates:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, 0.01),
            ({"adjust_lr_fn": "match_rms_adamw"}, 0.04),
            ({"adamw_learning_rate": 0.5}, 0.5),
        ],
        ids=str,
    )
    def test_the_rate_of_adamw_follows_that_of_muon_unless_given(
        self, make_model, settings, expected
    ):
        groups = built(make_model(), learning_rate=0.04, **settings).param_groups

        assert [group["lr"] for group in groups] == [0.04, expected, expected]

    def test_the_schedule_scales_each_groups_own_rate(self, make_model):
        optimizer = built(make_model(), learning_rate=0.04, adamw_learning_rate=0.01)

        scale_learning_rates(optimizer, 0.1)
        scale_learning_rates(optimizer, 0.5)

        assert [group["lr"] for group in optimizer.param_groups] == [0.02, 0.005, 0.005]

    def test_weights_without_a_gradient_to_follow_shrink_by_rate_times_decay(self):
        (weight,) = random_matrices((48, 16))
        before = weight.detach().clone()
        optimizer = over([weight], lr=0.1, weight_decay=0.2)

        for _ in range(3):
            weight.grad = torch.zeros_like(weight)
            optimizer.step()

        torch.testing.assert_close(weight.detach(), before * (1 - 0.1 * 0.2) ** 3)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"lr": 0.1},
            {"ns_steps": 0},
            {"ns_coefficients": [1, 2, 3]},
            {"adjust_lr_fn": "spectral"},
            {"momentum": 1.0},
        ],
        ids=str,
    )
    def test_wrong_settings_are_refused(self, wrong):
        with pytest.raises(ValueError):
            OPTIMIZERS.validate({"name": "muon", **wrong})
