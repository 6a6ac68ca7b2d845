"""Settings of sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from gptkit.section import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    number,
)

Bias = Annotated[float, BeforeValidator(number), Field(ge=-1e6, le=1e6)]


class SamplingConfig(Section):
    """How the next token is drawn from the model's logits.

    They apply in this order: logit_bias, repetition_penalty, temperature, top_k, top_p, min_p. Each
    works on what the one before left, and at least one token always stays.
    """

    max_new_tokens: PositiveInt = 200
    """Tokens after the prompt at most."""
    temperature: NonNegativeFloat = 0.8
    """Divides the logits: below 1 surer, above 1 wilder; 0: always the likeliest token."""
    top_k: NonNegativeInt | None = None
    """Draw from the k likeliest tokens; null or 0: from all."""
    top_p: Fraction | None = None
    """Draw from the fewest likeliest tokens that have this probability together; null: from all."""
    min_p: Fraction | None = None
    """Drop tokens less likely than this share of the likeliest one; null: none."""
    logit_bias: Mapping[NonNegativeInt, Bias] = {}
    """Added to the logits of single tokens, by id, before all else; -1000000: never that token."""
    repetition_penalty: PositiveFloat = 1.0
    """Above 1: tokens that were in the prompt or the text so far become less likely; 1: off."""
    seed: Annotated[int, BeforeValidator(number), Field(strict=True)] = 1337
    """Where the random numbers come from; the sample of index i depends on (seed, i) alone."""
