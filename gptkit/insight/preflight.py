"""A few questions to a model before it is trained for hours, each answered in milliseconds.

They are put to a small copy: the same parts and width, two blocks, few token ids, weights that are
stirred, so that nothing is hidden behind a projection that starts at zero. What the small one gets
wrong, the large one does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from gptkit.data.batches import IGNORE_INDEX, Batch
from gptkit.model import GPT, ModelConfig
from gptkit.model.ladder import MODELS
from gptkit.section import Section
from gptkit.training.loss import token_losses
from gptkit.training.objective import NextTokenObjective
from gptkit.training.optimizer_config import OPTIMIZERS

_VOCAB_SIZE = 256
_LENGTH = 24
_FEW_TOKENS = 64
_STIR = 0.3
_CLOSE = 1e-3
_OFF = 0.5
"""Nats that the first loss may be away from ln V, and a little more over few tokens."""
_OVERFIT_STEPS = 30
_OVERFIT_SECONDS = 0.4
_LEARNED = 0.02
"""Share of its loss that repeating one batch must take away."""


@dataclass(frozen=True)
class Check:
    """The answer to one question."""

    name: str
    problem: str = ""
    """What is wrong; empty: nothing."""
    fatal: bool = True
    """Whether training would be worthless."""


def preflight(
    model: GPT, batch: Batch, optimizer: Section, *, fresh: bool, documents: bool
) -> tuple[Check, ...]:
    """Return the answers for a model that is about to be trained; it and all random states stay as they are.

    batch: the run's first; fresh: the weights know nothing yet; documents: attention keeps within a document.
    """
    with torch.random.fork_rng(devices=[]):
        return tuple(_checks(model, batch, optimizer, fresh=fresh, documents=documents))


def _checks(
    model: GPT, batch: Batch, optimizer: Section, *, fresh: bool, documents: bool
) -> Iterator[Check]:
    yield Check("targets", _targets(batch))
    if fresh:
        yield Check("first loss", _first_loss(model, batch), fatal=False)
    small = _small(model.config)
    yield Check("future", _future(small))
    yield Check("objective", _objective(small))
    yield Check("cache", _cache(small))
    if documents:
        yield Check("documents", _documents(small))
    if isinstance(small, GPT) and getattr(model.config.positions, "name", "none") != "none":
        # Of two blocks the second sees in the first one's outputs which token came first.
        small.blocks = small.blocks[:1]
        yield Check("order", _order(small))
    yield Check("overfit", _overfit(small, optimizer), fatal=False)


@torch.no_grad()
def _small(config: ModelConfig) -> GPT:
    shallow = {"n_layer": min(2, config.n_layer)} if "n_layer" in type(config).model_fields else {}
    small: GPT = MODELS.build(config.model_copy(update=shallow), _VOCAB_SIZE)
    small.init_weights(0)
    generator = Generator().manual_seed(0)
    for parameter in small.parameters():
        size = 1 / math.sqrt(parameter.shape[-1]) if parameter.ndim > 1 else 1.0
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(noise, alpha=_STIR * size)
    return small.eval()


def _text(config: ModelConfig, rows: int = 1) -> Tensor:
    """Return random tokens, (rows, T + 1), with T as long as a short context allows."""
    length = min(_LENGTH, config.context_length) + 1
    return torch.randint(_VOCAB_SIZE, (rows, length), generator=Generator().manual_seed(1))


def _targets(batch: Batch) -> str:
    scored = batch.targets[:, :-1] != IGNORE_INDEX
    if batch.documents is not None:
        # What comes after the last token of a conversation is in no row.
        scored &= batch.documents[:, :-1] == batch.documents[:, 1:]
    if torch.equal(batch.targets[:, :-1][scored], batch.tokens[:, 1:][scored]):
        return ""
    return "a target is not the token that comes next: what is trained is another task"


@torch.no_grad()
def _first_loss(model: GPT, batch: Batch) -> str:
    device = model.token_embedding.weight.device
    rows = -(-_FEW_TOKENS // batch.tokens.shape[1])
    tokens, targets = (x[:rows, :_FEW_TOKENS].to(device) for x in (batch.tokens, batch.targets))
    was_training = model.training
    loss = float(token_losses(model.eval()(tokens), targets).mean())
    model.train(was_training)
    uniform = math.log(model.vocab_size)
    if abs(loss - uniform) <= _OFF + 1 / math.sqrt(targets.numel()):
        return ""
    cause = (
        "the weights start too large, and the first steps go to making them smaller"
        if loss > uniform
        else "the weights are not those of a new model, or something leaks"
    )
    return f"the first loss is {loss:.2f}, and ln V is {uniform:.2f}: {cause}"


@torch.no_grad()
def _future(small: GPT) -> str:
    tokens = _text(small.config)[:, :-1]
    logits = small(tokens)
    for first in {tokens.shape[1] // 2, tokens.shape[1] - 1} - {0}:
        other = tokens.clone()
        other[:, first:] = (other[:, first:] + 7) % _VOCAB_SIZE
        if not _same(small(other)[:, :first], logits[:, :first]):
            return "a position sees tokens that come after it: the loss would fall and mean nothing"
    return ""


@torch.no_grad()
def _objective(small: GPT) -> str:
    text = _text(small.config)
    tokens, targets = text[:, :-1], text[:, 1:]
    found = NextTokenObjective(small)(tokens, targets)
    expected = F.cross_entropy(small(tokens)[0].float(), targets[0], reduction="sum")
    if _same(found, expected):
        return ""
    return "the loss is not the cross-entropy of the logits with the tokens that come next"


@torch.no_grad()
def _cache(small: GPT) -> str:
    tokens = _text(small.config)[:, :-1]
    logits = small(tokens)
    length = tokens.shape[1]
    cache = small.new_cache(1, length)
    cuts = sorted({0, length // 2, max(length - 2, 0), length - 1, length})
    parts = [small(tokens[:, a:b], cache) for a, b in pairwise(cuts)]
    if _same(torch.cat(parts, dim=1), logits):
        return ""
    return "logits with a cache are not those without: samples would not show what the model has learned"


@torch.no_grad()
def _documents(small: GPT) -> str:
    tokens = _text(small.config)[:, :-1]
    half = tokens.shape[1] // 2
    if not half:
        return ""
    numbers = (torch.arange(tokens.shape[1]) >= half).long().unsqueeze(0)
    together = small(tokens, documents=numbers)
    if _same(together[:, half:], small(tokens[:, half:])):
        return ""
    return "data.documents: mask, and yet a document sees the one before it"


@torch.no_grad()
def _order(single: GPT) -> str:
    tokens = _text(single.config)[:, :-1]
    if tokens.shape[1] < 3:
        return ""
    swapped = tokens.clone()
    swapped[:, [0, 1]] = tokens[:, [1, 0]]
    seen = getattr(single.config.attention, "window", None) or tokens.shape[1]
    last = min(tokens.shape[1], seen + 1) - 1
    if seen < 3 or not _same(single(swapped)[:, last], single(tokens)[:, last], close=1e-6):
        return ""
    return "the order of the tokens makes no difference: positions do not reach the model"


def _overfit(small: GPT, section: Section) -> str:
    optimizer = OPTIMIZERS.build(section, small)
    text = _text(small.config, rows=2)
    objective = NextTokenObjective(small)
    losses: list[float] = []
    end = time.perf_counter() + _OVERFIT_SECONDS
    for _ in range(_OVERFIT_STEPS):
        loss = objective(text[:, :-1], text[:, 1:]) / text[:, 1:].numel()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(small.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        learned = losses[-1] < (1 - _LEARNED) * losses[0]
        if learned or (len(losses) > 3 and time.perf_counter() > end):
            break
    if learned:
        return ""
    return (
        f"one batch, learned {len(losses)} times, went from a loss of {losses[0]:.3f} to {losses[-1]:.3f}:"
        " this optimizer does not move this model; look at optimizer.learning_rate"
    )


def _same(a: Tensor, b: Tensor, *, close: float = _CLOSE) -> bool:
    a, b = a.float(), b.float()
    return bool((a - b).abs().max() <= close * (1 + b.abs().max()))
