"""One dial: size, batch, optimizer and length of a run from its depth or its time budget."""

from gptkit.dial.choose import Choice, Facts, Speed, choose
from gptkit.dial.formulas import num_weights, tokens_to_learn_from
from gptkit.dial.given import is_on, keep_choices, open_keys

__all__ = [
    "Choice",
    "Facts",
    "Speed",
    "choose",
    "is_on",
    "keep_choices",
    "num_weights",
    "open_keys",
    "tokens_to_learn_from",
]
