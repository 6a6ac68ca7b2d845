"""Updates beside frozen matrices."""

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.model import GPT
from gptkit.model.adapter_config import LoRAConfig
from gptkit.model.config import ModelConfig
from gptkit.model.lora import add_lora, freeze, merge, merged_in_place, updates_of
from gptkit.training.optimizer_config import OPTIMIZERS

TOKENS = torch.arange(12).view(2, 6)


def build(**settings):
    config = ModelConfig(n_layer=2, n_head=2, n_embd=16, context_length=8, dropout=0.0, **settings)
    model = GPT(config, 20)
    model.init_weights(0)
    return model


def adapted(section=LoRAConfig(rank=2), **settings):
    model = build(**settings)
    add_lora(section, model, 1)
    return model


def stir(model):
    """Give the updates something to say."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(len(name))))


def test_at_first_nothing_changes():
    assert torch.equal(adapted()(TOKENS), build()(TOKENS))


def test_only_the_updates_learn():
    model = adapted()
    model(TOKENS).sum().backward()

    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    assert learning == set(updates_of(model.state_dict()))
    assert len(learning) == 2 * 2 * 5


@pytest.mark.parametrize("settings", [{}, {"preset": "gpt2"}])
def test_merged_equals_unmerged(settings):
    model = adapted(LoRAConfig(rank=2, alpha=4.0), **settings)
    stir(model)
    weights = model.state_dict()
    plain = build(**settings)
    plain.load_state_dict(merge(build(**settings).state_dict(), updates_of(weights), scale=2.0))

    assert not torch.allclose(model(TOKENS), build(**settings)(TOKENS), atol=1e-2)
    assert torch.allclose(model(TOKENS), plain(TOKENS), atol=1e-5)


def test_merging_for_a_while_leaves_the_same_bits():
    model = adapted()
    stir(model)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    with merged_in_place(model):
        inside = model.blocks[0].mlp.up_proj.weight.clone()

    assert not torch.equal(inside, before["blocks.0.mlp.up_proj.weight"])
    assert all(torch.equal(before[name], w) for name, w in model.state_dict().items())


def test_targets_are_names_or_patterns():
    by_name = adapted(LoRAConfig(rank=1, targets=("qkv_proj",)))
    by_pattern = adapted(LoRAConfig(rank=1, targets=("blocks.1.*",)))

    assert {name.split(".")[-2] for name in updates_of(by_name.state_dict())} == {"qkv_proj"}
    assert {name.split(".")[1] for name in updates_of(by_pattern.state_dict())} == {"1"}
    with pytest.raises(ConfigError, match=r"'query'; there are qkv_proj, out_proj, gate_proj"):
        adapted(LoRAConfig(targets=("query",)))


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_every_optimizer_leaves_the_frozen_as_it_is(name):
    model = adapted()
    frozen = {n: w.clone() for n, w in model.state_dict().items() if "lora" not in n}
    optimizer = OPTIMIZERS.build(OPTIMIZERS.validate({"name": name}), model)

    for _ in range(2):
        model(TOKENS).square().sum().backward()
        optimizer.step()

    assert all(torch.equal(w, model.state_dict()[n]) for n, w in frozen.items())
    assert any(w.any() for n, w in model.state_dict().items() if n.endswith("lora_up"))


def test_what_is_frozen_by_pattern_does_not_learn():
    model = build()
    freeze(model, ["token_embedding.*", "blocks.0.*"])

    frozen = {
        name.split(".")[0] + name.split(".")[1]
        for name, p in model.named_parameters()
        if not p.requires_grad
    }
    assert frozen == {"token_embeddingweight", "blocks0"}
    with pytest.raises(ConfigError, match="no parameter matches 'nothing'"):
        freeze(model, ["nothing"])
    with pytest.raises(ConfigError, match="nothing is left to learn"):
        freeze(model, ["*"])


def test_a_large_mlp_keeps_its_updates(monkeypatch):
    monkeypatch.setattr("gptkit.model.mlp._RECOMPUTE_FROM", 0)
    model = adapted()
    stir(model)

    with torch.no_grad():
        expected = model(TOKENS)

    assert torch.allclose(model(TOKENS), expected, atol=1e-6)
