"""What the model said about each token before it came."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from gptkit.tokenizers.base import Tokenizer

_ALTERNATIVES = 5
_SIGNS = {"\n": "\u23ce", "\t": "\u21e5", " ": "\u2423"}


@dataclass(frozen=True)
class TokenView:
    """One token, seen from the position before it."""

    token: int
    text: str
    probability: float
    rank: int
    """How many tokens were likelier: 0 for the model's first guess."""
    entropy_bits: float
    """Of the whole distribution: 1 bit is a coin flip."""
    alternatives: tuple[tuple[str, float], ...]
    """The likeliest tokens and their probabilities."""


def views(logits: Tensor, tokens: Tensor, tokenizer: Tokenizer) -> list[TokenView]:
    """Return every token but the first: logits (T, V), tokens (T,) -> T - 1 views."""
    log_probabilities = logits[:-1].double().log_softmax(dim=-1)
    probabilities = logits[:-1].double().softmax(dim=-1)
    entropy = -(probabilities * log_probabilities).nan_to_num(0.0).sum(dim=-1) / math.log(2)
    top = probabilities.topk(min(_ALTERNATIVES, probabilities.shape[1]), dim=-1)
    found = []
    for row, token in enumerate(tokens[1:].tolist()):
        own = probabilities[row, token]
        guesses = zip(top.indices[row].tolist(), top.values[row].tolist(), strict=True)
        found.append(
            TokenView(
                token=token,
                text=shown(tokenizer, token),
                probability=float(own),
                rank=int((probabilities[row] > own).sum()),
                entropy_bits=float(entropy[row]),
                alternatives=tuple((shown(tokenizer, guess), p) for guess, p in guesses),
            )
        )
    return found


def shown(tokenizer: Tokenizer, token: int) -> str:
    """Return a token's text with its white space made visible; a special token by its id.

    Bytes that are a part of a character only, as byte-pair tokens of Chinese may be, are shown as \\xe5.
    """
    whole = tokenizer.decode_bytes([token])
    if not whole or tokenizer.token_bytes()[token] == 0:
        return f"[{token}]" if token != tokenizer.end_of_text else "[end]"
    text = whole.decode("utf-8", errors="backslashreplace")
    return "".join(_SIGNS.get(char, char) for char in text)
