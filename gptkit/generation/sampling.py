"""From logits to the next token: pure filters, applied in the order in which they stand here.

Each filter takes logits (..., V) and returns them with the dropped tokens at -inf. Order and
meaning are those of Hugging Face's logits processors, but top-k keeps exactly k of equal ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from gptkit.errors import CheckpointError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.native.draw import native_draw

_BLOCK = 256
_DRAWN_AT_ONCE = 64
_BROKEN = "the model's logits are NaN or infinite: its weights are broken, take another checkpoint"


@torch.inference_mode()
def choose(
    logits: Tensor,
    sampling: SamplingConfig,
    uniform: Tensor | None,
    seen: Tensor | None = None,
) -> Tensor:
    """Return the next token of each row: (R, V) logits -> (R,) int64.

    uniform: (R,) numbers in [0, 1), which decide; not needed at temperature 0, where the likeliest
        token wins, and of equal ones the lowest id.
    seen: (R, V) bool, tokens that a row holds already; needed for a repetition penalty.

    Raises: CheckpointError, where the logits are not finite.
    """
    if sampling.logit_bias:
        logits = add_bias(logits, sampling.logit_bias)
    if sampling.repetition_penalty != 1.0:
        assert seen is not None
        logits = penalise_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature == 0:
        largest, tokens = logits.max(dim=-1)
        _check_finite(largest)
        return tokens
    if sampling.temperature != 1.0:
        logits = apply_temperature(logits, sampling.temperature)
    if sampling.top_k:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p:
        logits = keep_min_p(logits, sampling.min_p)
    assert uniform is not None
    return draw(logits, uniform)


def uniform_numbers(seed: int, index: int) -> Iterator[float]:
    """Yield the random numbers in [0, 1) of sample `index`, whatever the number of samples."""
    digest = hashlib.sha256(f"{seed} {index}".encode()).digest()
    generator = Generator().manual_seed(int.from_bytes(digest[:8], "little"))
    while True:
        yield from torch.rand(_DRAWN_AT_ONCE, generator=generator).tolist()


@torch.inference_mode()
def log_probs_of(tokens: Tensor, logits: Tensor) -> Tensor:
    """Return the logarithm of the probability of a token a row: (R,), (R, V) -> (R,)."""
    chosen = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - logits.logsumexp(dim=-1)


def add_bias(logits: Tensor, bias: Mapping[int, float]) -> Tensor:
    """Add to the logits of single tokens.

    >>> add_bias(torch.tensor([1.0, 2.0]), {1: -3.0})
    tensor([ 1., -1.])
    """
    tokens = torch.tensor(list(bias), device=logits.device)
    return logits.index_add(
        -1, tokens, logits.new_tensor(list(bias.values())).expand(*logits.shape[:-1], -1)
    )


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make the `seen` tokens less likely: divide positive logits by `penalty`, multiply others.

    Reference: CTRL, arXiv:1909.05858, section 4.1.
    """
    penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
    finite = torch.finfo(logits.dtype)  # where a huge penalty has gone beyond
    return torch.where(seen, penalised.clamp_(finite.min, finite.max), logits)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits by a temperature above 0.

    The largest becomes 0 first, so that a tiny temperature cannot send several to inf.
    """
    temperature = max(temperature, torch.finfo(logits.dtype).tiny)
    return (logits - logits.amax(dim=-1, keepdim=True)) / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest logits; all if there are fewer.

    >>> keep_top_k(torch.tensor([1.0, 3.0, 2.0]), 2)
    tensor([-inf, 3., 2.])
    """
    values, tokens = logits.topk(min(k, logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, tokens, values)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities add up to at least p.

    Probabilities .5 .3 .15 .05 and p = .6 keep the first two.

    Reference: The Curious Case of Neural Text Degeneration, arXiv:1904.09751, section 3.1.
    """
    values, tokens = logits.sort(dim=-1)  # ascending: the tail adds up first
    dropped = values.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    dropped[..., -1] = False
    return logits.masked_fill(dropped.scatter(-1, tokens, dropped), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens at least p times as likely as the likeliest.

    Reference: Min-p Sampling, arXiv:2407.01082, section 3.
    """
    probabilities = logits.softmax(dim=-1)
    floor = p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < floor, -torch.inf)


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return the token at which the summed probability passes `uniform`: (R, V), (R,) -> (R,).

    One number in [0, 1) a row and float64 sums make the draw the same in any batch and on any
    machine, up to the rounding of the logits. A token of probability 0 is never drawn.

    Raises: CheckpointError, where a row has a NaN or inf, or -inf alone.
    """
    compiled = native_draw() if logits.is_cpu else None
    if compiled is None:
        return _draw_by_torch(logits, uniform.to(logits.device))
    logits, uniform = logits.float().contiguous(), uniform.contiguous()
    tokens = torch.empty(len(logits), dtype=torch.int64)
    if not compiled(logits.data_ptr(), *logits.shape, uniform.data_ptr(), tokens.data_ptr()):
        raise CheckpointError(_BROKEN)
    return tokens


def _draw_by_torch(logits: Tensor, uniform: Tensor) -> Tensor:
    probabilities = logits.softmax(dim=-1)
    # First the block of tokens, then the token in it: a running sum over all would take much longer.
    padded = F.pad(probabilities, (0, -logits.shape[-1] % _BLOCK))
    blocks = padded.view(len(padded), -1, _BLOCK)
    sums = blocks.sum(dim=-1).cumsum(dim=-1, dtype=torch.float64)  # (R, V / _BLOCK)
    _check_finite(sums[:, -1])
    target = uniform.double().unsqueeze(-1) * sums[:, -1:]
    block = torch.searchsorted(sums, torch.minimum(target, _just_below(sums[:, -1:])), right=True)
    before = torch.where(block > 0, sums.gather(-1, (block - 1).clamp(min=0)), 0.0)
    index = block.unsqueeze(-1).expand(-1, 1, _BLOCK)
    inner = blocks.gather(1, index).squeeze(1).double().cumsum(dim=-1)  # (R, _BLOCK)
    # Rounding must not lead beyond the block's last token that can come.
    rest = torch.minimum(target - before, _just_below(inner[:, -1:]))
    return (block * _BLOCK + torch.searchsorted(inner, rest, right=True)).squeeze(-1)


def _just_below(x: Tensor) -> Tensor:
    return x.nextafter(torch.zeros_like(x))


def _check_finite(values: Tensor) -> None:
    """Raises: CheckpointError."""
    if not values.isfinite().all():
        raise CheckpointError(_BROKEN)
