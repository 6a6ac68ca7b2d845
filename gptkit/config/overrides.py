"""`--set a.b=1`: settings from the command line, on top of those of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gptkit.config.yaml12 import Path, read_yaml
from gptkit.errors import ConfigError


@dataclass(frozen=True)
class Override:
    """One setting given beside the file."""

    path: tuple[str, ...]
    value: Any

    @property
    def origin(self) -> str:
        """How an error names its place."""
        return f"--set {'.'.join(self.path)}"


def parse_override(text: str) -> Override:
    """Return the setting that "a.b=value" means; the value is YAML.

    Raises: ConfigError when there is no "=", a key is empty or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(f"--set {text}: must be KEY=VALUE, such as training.max_steps=200")
    document = read_yaml(value)
    if document.problems:
        raise ConfigError("\n".join(f"--set {text}: {what}" for *_, what in document.problems))
    return Override(path, document.value)


def from_mapping(settings: Mapping[str, Any]) -> list[Override]:
    """Return the settings of a Python caller: {"training.max_steps": 200}."""
    return [Override(tuple(key.split(".")), value) for key, value in settings.items()]


def apply_overrides(
    values: dict[str, Any], overrides: Sequence[Override], origins: dict[Path, str]
) -> None:
    """Write `overrides` into `values`, and where each came from into `origins`.

    Names come first, whatever the order on the command line: a section's other keys belong to its name.

    Raises: ConfigError when a key leads through something that is not a section.
    """
    for override in sorted(overrides, key=lambda o: o.path[-1] != "name"):
        section: Any = values
        for depth, key in enumerate(override.path[:-1], start=1):
            if key not in section:
                section[key] = {}
                origins[override.path[:depth]] = override.origin
            if not isinstance(section[key], dict):
                through = ".".join(override.path[:depth])
                raise ConfigError(f"{override.origin}: '{through}' is not a section")
            section = section[key]
        *above, key = override.path
        if key == "name" and section.get("name") != override.value:
            # One variant's keys mean nothing to another.
            _forget(origins, tuple(above))
            section.clear()
        section[key] = override.value
        _forget(origins, override.path)
        origins[override.path] = override.origin


def _forget(origins: dict[Path, str], path: Path) -> None:
    for known in [known for known in origins if known[: len(path)] == path and known != path]:
        del origins[known]
