"""A user's own attention, as a plugin file would write it: forty lines, with the model's cache."""

from typing import Literal

import pytest
import torch
from torch import nn

from gptkit.model import GPT, KVCache, ModelConfig
from gptkit.model.config import ATTENTIONS
from gptkit.section import Probability, Section

# The plugin file:


class LinearBiasConfig(Section):
    """ALiBi: scores fall with the distance, more steeply in some heads than in others."""

    name: Literal["linear_bias"] = "linear_bias"
    steepest: Probability = 0.5


class LinearBiasAttention(nn.Module):
    def __init__(self, section, config):
        super().__init__()
        self.n_head, self.head_dim = config.n_head, config.head_dim
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=False)
        slopes = section.steepest ** torch.arange(1, config.n_head + 1)
        self.register_buffer("slopes", slopes.view(-1, 1, 1))

    def forward(self, x, rotation, cache, same_document):
        batch_size, length, _ = x.shape
        qkv = self.qkv(x).view(batch_size, length, 3, self.n_head, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        if cache is not None:
            k, v = cache.append(k, v)
        keys = torch.arange(k.shape[2], device=x.device)
        distance = keys[-length:, None] - keys
        hidden = distance < 0
        if same_document is not None:
            hidden = hidden | ~same_document
        scores = q @ k.mT / self.head_dim**0.5 - self.slopes * distance
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))

    def new_cache(self, batch_size, max_length, *, dtype, device):
        shape = batch_size, self.n_head, max_length, self.head_dim
        return KVCache(*shape, dtype=dtype, device=device)

    def residual_projections(self):
        return (self.out,)


# Its tests:


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> GPT:
    for table in ("_sections", "_builders"):  # what the plugin adds is gone after the test
        monkeypatch.setattr(ATTENTIONS, table, dict(getattr(ATTENTIONS, table)))
    ATTENTIONS.add(LinearBiasConfig, LinearBiasAttention)
    settings = {
        "n_layer": 2,
        "n_head": 4,
        "n_embd": 16,
        "context_length": 12,
        "attention": {"name": "linear_bias", "steepest": 0.3},
        "positions": {"name": "none"},
    }
    model = GPT(ModelConfig.model_validate(settings), 11).eval()
    model.init_weights(0)
    return model


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(11, (2, 12), generator=torch.Generator().manual_seed(0))


def test_a_plugin_joins_the_choices(model: GPT) -> None:
    assert isinstance(model.blocks[0].attention, LinearBiasAttention)
    assert "linear_bias" in ATTENTIONS


def test_a_plugin_is_causal(model: GPT, tokens: torch.Tensor) -> None:
    changed = tokens.clone()
    changed[:, 7] = (tokens[:, 7] + 1) % 11

    assert torch.equal(model(tokens)[:, :7], model(changed)[:, :7])


@pytest.mark.parametrize("cuts", [[1] * 12, [5, 7], [9, 1, 2]], ids=str)
def test_a_plugins_cache_gives_the_logits_of_the_full_forward(
    model: GPT, tokens: torch.Tensor, cuts: list[int]
) -> None:
    cache = model.new_cache(2, 12)

    pieces = [model(piece, cache) for piece in tokens.split(cuts, dim=1)]

    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), atol=1e-5, rtol=0)


def test_a_plugin_says_what_writes_to_the_residual_stream(model: GPT) -> None:
    attention = model.blocks[0].attention

    ratio = attention.out.weight.std() / attention.qkv.weight.std()

    assert ratio.item() == pytest.approx(1 / 2, rel=0.15)  # 1 / sqrt(2 n_layer)
