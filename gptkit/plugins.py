"""A user's own variants: Python files that add to the choices of a room.

    # my_attention.py, beside a config that says `plugins: [my_attention.py]`
    class MyConfig(Section):
        name: Literal["my"] = "my"

    class MyAttention(nn.Module):
        def __init__(self, section: MyConfig, model: ModelConfig) -> None: ...

    register("attention", MyConfig, MyAttention)

docs/plugins.md has a whole one for each room.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptkit.data.sources import SOURCES
from gptkit.errors import ConfigError
from gptkit.loggers.config import LOGGERS
from gptkit.model.config import ATTENTIONS, MLPS, POSITIONS
from gptkit.section import Choices, Section
from gptkit.tokenizers.config import TOKENIZERS
from gptkit.training.optimizer_config import OPTIMIZERS
from gptkit.training.schedules import SCHEDULES

ROOMS: dict[str, Choices] = {
    table.room: table
    for table in (
        ATTENTIONS,
        POSITIONS,
        MLPS,
        TOKENIZERS,
        SOURCES,
        OPTIMIZERS,
        SCHEDULES,
        LOGGERS,
    )
}


def register(room: str, section: type[Section], build: Callable[..., Any] | None = None) -> None:
    """Add a variant to a room: its settings, and what builds it from them.

    room: "attention", "positions", "mlp", "optimizer", "schedule", "source", "tokenizer" or "logger". Schedules and
    sources do their work in the section itself and need no `build`.

    Raises: ConfigError for an unknown room, or a section without a `name`.
    """
    if room not in ROOMS:
        raise ConfigError(f"plugin: unknown room '{room}'; there are {', '.join(ROOMS)}")
    name = section.model_fields.get("name")
    if name is None or not isinstance(name.default, str):
        raise ConfigError(
            f"plugin: {section.__name__} needs a field name: Literal['my_name'] = 'my_name'"
        )
    ROOMS[room].add(section, build)


def load_plugins(paths: object, folder: Path) -> None:
    """Run the plugin files that a config names; a relative path is from the config's `folder`, then from here.

    Anything but a list of strings is left to the config's own check.

    Raises: ConfigError when a file is missing or fails, with its line.
    """
    if isinstance(paths, Sequence) and not isinstance(paths, str):
        for path in paths:
            if isinstance(path, str):
                _load(find_plugin(path, folder))


def find_plugin(path: str | Path, folder: Path) -> Path:
    """Return the file that a config in `folder` means by `path`.

    Raises: ConfigError when there is none.
    """
    for candidate in (folder / path, Path(path)):
        with suppress(OSError):  # such as a name that is too long
            if candidate.is_file():
                return candidate
    raise ConfigError(f"plugins: '{path}' is neither in '{folder}' nor in the current directory")


def plugin_sources(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """Return the plugin files of a config in `folder` by file name: a run and its checkpoints carry them.

    Raises: ConfigError when one is missing.
    """
    files = [find_plugin(path, folder) for path in paths]
    return {file.name: file.read_text(encoding="utf-8") for file in files}


def _load(path: Path) -> None:
    name = f"gptkit_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugins: '{path}' is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        raise
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
