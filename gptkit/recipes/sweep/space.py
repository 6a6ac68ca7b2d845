"""What a sweep varies: lists of values and ranges, and how trials are drawn from them.

model.n_layer=2,4            each of these values
optimizer.learning_rate=1e-4..1e-2    a range; by factors where it spans ten times or more
training.max_steps=200       the same for all
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gptkit.config import parse_override
from gptkit.errors import ConfigError

_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")
_OPEN, _CLOSE, _QUOTES = "[{(", "]})", "'\""


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included."""

    low: float | int
    high: float | int

    @property
    def is_log(self) -> bool:
        """Whether factors count rather than differences."""
        return self.low > 0 and self.high / self.low >= 10

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, share: float) -> float | int:
        """Return the value at a share of the way, 0 to 1; four digits say enough."""
        if self.is_log:
            value = math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        else:
            value = self.low * (1 - share) + self.high * share
        return round(value) if self.is_whole else float(f"{value:.4g}")


Space = Mapping[str, Range | tuple[Any, ...]]
"""By dotted key: a range, or the values to choose from; one value is the same for all trials."""


def is_varied(values: Range | tuple[Any, ...]) -> bool:
    """Return whether trials may differ in this."""
    return isinstance(values, Range) or len(values) > 1


def parse_space(settings: Sequence[str]) -> dict[str, Range | tuple[Any, ...]]:
    """Return the space that `--set` options mean.

    Raises: ConfigError.
    """
    space: dict[str, Range | tuple[Any, ...]] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            parse_override(text)  # which says what is wrong
        name = ".".join(parse_override(f"{key}=null").path)
        if name in space:
            raise ConfigError(
                f"--set {name} is given twice; give its values as one list: {name}=a,b"
            )
        space[name] = _range(name, value) or tuple(
            parse_override(f"{key}={part}").value for part in split(value)
        )
    return space


def split(text: str) -> list[str]:
    """Return the parts between commas that are not inside brackets or quotes.

    >>> split("{name: text, paths: [a, b]},x")
    ['{name: text, paths: [a, b]}', 'x']
    """
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        depth += (char in _OPEN) - (char in _CLOSE) if not quote else 0
        if char == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def grid(space: Space) -> list[dict[str, Any]]:
    """Return every combination, the last key changing fastest.

    Raises: ConfigError for a range, which has no end of values.
    """
    ranges = [key for key, values in space.items() if isinstance(values, Range)]
    if ranges:
        raise ConfigError(
            f"--set {ranges[0]}: a range needs --trials N; a grid needs values: a,b,c"
        )
    values = [tuple(choices) for choices in space.values() if isinstance(choices, tuple)]
    return [
        dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)
    ]


def random(space: Space, trials: int) -> Iterator[dict[str, Any]]:
    """Yield draws, the same each time, so that a sweep can be taken up again."""
    source = Random(1337)
    for _ in range(trials):
        yield {
            key: values.at(source.random()) if isinstance(values, Range) else source.choice(values)
            for key, values in space.items()
        }


def _range(name: str, text: str) -> Range | None:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    low, high = (parse_override(f"{name}={end}").value for end in match.groups())
    if not low < high:
        raise ConfigError(
            f"--set {name}={text}: a range goes from a smaller number to a larger one"
        )
    return Range(low, high)
