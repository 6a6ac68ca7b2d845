"""Which runs are the same recipe: settings that are equal but for the seed and the folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OF_A_RUN = ("run_dir", "training.seed")
_MISSING = "-"


@dataclass(frozen=True)
class Arm:
    """Runs of one recipe, by their place in the list of all runs."""

    name: str
    members: tuple[int, ...]


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of a config as (dotted key, value).

    >>> dict(flat({"model": {"n_layer": 2}, "plugins": []}))
    {'model.n_layer': 2, 'plugins': []}
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def group(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[Arm]:
    """Return the recipes among runs, in the order of their first run."""
    found: dict[str, list[int]] = {}
    for index, one in enumerate(settings):
        recipe = {key: value for key, value in flat(one) if key not in _OF_A_RUN}
        found.setdefault(repr(sorted(recipe.items())), []).append(index)
    return [Arm(_name(names, members), tuple(members)) for members in found.values()]


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys that are not the same everywhere, with the value of each; "-" where there is no such key."""
    tables = [dict(flat(one)) for one in settings]
    keys = dict.fromkeys(key for table in tables for key in table)
    found = {key: [table.get(key, _MISSING) for table in tables] for key in keys}
    return {
        key: values
        for key, values in found.items()
        if key != "run_dir" and any(value != values[0] for value in values)
    }


def _name(names: Sequence[str], members: Sequence[int]) -> str:
    first = names[members[0]]
    return first if len(members) == 1 else f"{first} and {len(members) - 1} more"
