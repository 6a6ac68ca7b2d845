"""From a YAML file and `--set` to a `RunConfig`, or to one error that lists every problem; and back to YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gptkit.config import yaml12
from gptkit.config.overrides import Override, apply_overrides
from gptkit.config.problems import explain
from gptkit.config.run import RunConfig
from gptkit.data.sources import ImportedConfig, TokensConfig
from gptkit.errors import ConfigError
from gptkit.plugins import load_plugins


def load_config(
    path: Path,
    overrides: Sequence[Override] = (),
    *,
    plugin_folder: Path | None = None,
    complete: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values,
) -> RunConfig:
    """Return the config in the YAML file `path` with `overrides` on top.

    Its plugins, Python files beside it (or in `plugin_folder`), are loaded first: their variants are choices like
    any other. complete: adds what follows from the plain values given (gptkit.recipes.train.inherit).

    Raises: ConfigError with every problem, each as `file:line:column: key: what is wrong`.
    """
    document = yaml12.read_yaml(_read_text(path))
    if document.problems:
        raise ConfigError(
            "\n".join(f"{path}:{line}:{column}: {what}" for line, column, what in document.problems)
        )
    values = {} if document.value is None else document.value
    if not isinstance(values, dict):
        kind = "list" if isinstance(values, list) else "single value"
        raise ConfigError(f"{path}:1:1: a config is a mapping of sections, not a {kind}")
    origins = {
        place: f"{path}:{line}:{column}" for place, (line, column) in document.places.items()
    }
    apply_overrides(values, overrides, origins)
    return validate_config(
        complete(values), origins, where=str(path), plugin_folder=plugin_folder or path.parent
    )


def validate_config(
    values: Mapping[str, Any],
    origins: Mapping[yaml12.Path, str],
    *,
    where: str,
    plugin_folder: Path,
) -> RunConfig:
    """Return the config of plain `values`; `origins` says where each came from, `where` the rest.

    Raises: ConfigError with every problem.
    """
    load_plugins(values.get("plugins"), plugin_folder)
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        order = list(origins.values())
        problems = []
        for loc, what in explain(error, RunConfig, values):
            origin = _origin(loc, origins)
            key = ".".join(str(part) for part in loc)
            place = order.index(origin) if origin else 0
            problems.append((place, f"{origin or where}: {key}: {what}"))
        problems.sort(key=lambda problem: problem[0])
        raise ConfigError("\n".join(dict.fromkeys(text for _, text in problems))) from None


def dump_config(config: RunConfig) -> str:
    """Return the resolved config as YAML text that `load_config` reads back to an equal config.

    The run folder is left out: a run can be moved.
    """
    values = config.model_copy(update={"run_dir": None}).model_dump(mode="json")
    if isinstance(config.data.source, TokensConfig | ImportedConfig):
        del values["data"]["tokenizer"]  # prepared tokens and imported models bring theirs
    return yaml12.write_yaml(values)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte offset {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _origin(loc: yaml12.Path, origins: Mapping[yaml12.Path, str]) -> str | None:
    """Return the place of the value at `loc`, or of the nearest section around it."""
    for end in range(len(loc), 0, -1):
        if loc[:end] in origins:
            return origins[loc[:end]]
    return None
