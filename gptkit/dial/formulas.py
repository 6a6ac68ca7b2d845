"""The numbers behind the dial: each a pure function, with units and where it comes from.

    compute  ─> weights and tokens      how large, how long
    tokens   ─> batch ─> steps          how often the weights move
    width    ─> learning rates          how far they move
    epochs   ─> dropout, weight decay   how much is held against learning by heart

Read with: nanochat (nanochat/gpt.py, scripts/base_train.py) for the exponents at scale, and
benchmarks/dial.md for what small runs on a CPU say about them.
"""

from __future__ import annotations

import math

# nanochat's measured optimum at a depth of 12: 110M weights, 10.5 tokens for each.
_REFERENCE_WEIGHTS = 110e6
_REFERENCE_TOKENS_PER_WEIGHT = 10.5
# Its batch there, in tokens.
_REFERENCE_TOKENS = _REFERENCE_TOKENS_PER_WEIGHT * _REFERENCE_WEIGHTS
_REFERENCE_BATCH = 2.0**19
_MIN_BATCH = 2.0**10


def num_weights(n_layer: int, n_embd: int, vocab_size: int) -> int:
    """Return about how many weights each token is multiplied with: the blocks' and the head's."""
    return 12 * n_layer * n_embd**2 + vocab_size * n_embd


def flops_per_token(n_layer: int, n_embd: int, context_length: int, vocab_size: int) -> float:
    """Return the floating-point operations of training on one token (PaLM, arXiv:2204.02311, B)."""
    return 6.0 * num_weights(n_layer, n_embd, vocab_size) + 12.0 * n_layer * n_embd * context_length


def tokens_to_learn_from(weights: float) -> float:
    """Return from how many tokens on a model of so many weights beats the next smaller one.

    About 1.6 for each of 0.4 million weights (benchmarks/dial.md), 10.5 for each of 110 million.
    """
    per_weight = _REFERENCE_TOKENS_PER_WEIGHT * math.pow(weights / _REFERENCE_WEIGHTS, 1 / 3)
    return per_weight * weights


MAX_EPOCHS = 40.0
"""Passes over a text after which another one teaches nothing (arXiv:2305.16264, section 6)."""


def batch_tokens(tokens: float) -> float:
    """Return the tokens of an optimizer step for a run over `tokens` tokens.

    Between 4,000, measured for 5 million (benchmarks/dial.md), and nanochat's half a million for 1.2
    billion: some 1,200 and 2,200 steps. nanochat's own power of 0.383 leaves a run of minutes 30. A
    step of fewer than 1024 tokens takes hardly less time.
    """
    return max(_MIN_BATCH, _REFERENCE_BATCH * math.pow(tokens / _REFERENCE_TOKENS, 0.89))


NS_STEPS = 3
"""Newton-Schulz iterations: as good as five with the coefficients of the Polar Express."""
_LARGEST_MUON_OVERHEAD = 1.0  # at 0.6 it is still ahead (benchmarks/dial.md)


def muon_overhead(n_embd: int, batch: float) -> float:
    """Return the work of Newton-Schulz over that of the step's forward and backward passes.

    For blocks of four d x d and two d x 4d matrices and B tokens: 4.2 d / B at five iterations.
    """
    return 4.2 * NS_STEPS / 5 * n_embd / batch


def pays_muon(n_embd: int, batch: float) -> bool:
    """Whether Muon learns more in the same time than AdamW."""
    return muon_overhead(n_embd, batch) < _LARGEST_MUON_OVERHEAD


def momentum(steps: int) -> float:
    """Return Muon's momentum: 0.85 for 60 steps (configs/speedrun_char_cpu.yaml), 0.95 for 2500.

    What a short run remembers must not be older than the run.
    """
    return round(1.0 - 0.15 * math.pow(60.0 / max(60, steps), 0.3), 3)


def muon_rate(steps: int) -> float:
    """Return Muon's peak learning rate: 0.02 for nanochat's 2500 steps, 0.042 for 60.

    It does not fall with the batch: that rule is for half a million tokens and more.
    """
    return float(f"{0.02 * math.pow(2500.0 / min(max(60, steps), 2500), 0.2):.2g}")


MUON_ADAMW_SHARE = 0.25
"""The rate of AdamW, which moves the rest, over Muon's."""


def adamw_rate(n_embd: int) -> float:
    """Return the peak learning rate of AdamW alone: 3e-3 at 128 channels, falling with their root."""
    return float(f"{3e-3 * math.sqrt(128 / n_embd):.2g}")


# Dropout and weight decay, from how many passes over the text times weights for each token on.
_REGULARISATION = ((250.0, (0.2, 1.0)), (50.0, (0.2, 0.1)), (12.0, (0.1, 0.1)), (0.0, (0.0, 0.1)))


def regularisation(epochs: float, weights: float, train_tokens: float) -> tuple[float, float]:
    """Return (dropout, weight decay) where a model of so many weights reads a text so many times.

    What is learned by heart grows with both. At 40 passes and 13 weights a token the loss is 3.6
    without dropout, 1.86 with 0.2, and 1.81 with a decay of 1.0 beside it; at 11 and 3.2 it is 1.69
    without, where 0.2 gives 1.45; at 6 and 1.3 nothing is needed (benchmarks/dial.md). Decay is per
    unit of learning rate.
    """
    pressure = epochs * weights / train_tokens
    return next(found for least, found in _REGULARISATION if pressure >= least)
