"""gptkit config: list, show and copy configs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.config import find_config, parse_override, shipped_configs
from gptkit.config.help import setting_help
from gptkit.config.shipped import describe
from gptkit.config.yaml12 import write_scalar
from gptkit.dial import open_keys
from gptkit.errors import ConfigError
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.section import Section


def list_shipped(*, as_json: bool) -> None:
    """Print the name and the purpose of each shipped config."""
    described = {name: describe(path) for name, path in shipped_configs().items()}
    if as_json:
        print(json.dumps(described, ensure_ascii=False))
        return
    width = max(map(len, described))
    for name, purpose in described.items():
        print(f"{name:<{width}}  {purpose}")


def show(name: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Print every setting of a config, presets and defaults filled in, each with its help."""
    config = load_whole_config(find_config(name), [parse_override(text) for text in settings])
    if as_json:
        print(json.dumps(config.model_dump(mode="json"), ensure_ascii=False))
        return
    for line in _lines(config, (), open_keys(config)):
        print(line)


def copy(name: str, to: Path | None) -> None:
    """Copy a config to a file of the user's.

    Raises: ConfigError when the file exists or cannot be written.
    """
    source = find_config(name)
    to = to or Path(source.name)
    if to.is_dir():
        to = to / source.name
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError(f"{to}: exists already; give another file name") from None
    except OSError as error:
        raise ConfigError(f"{to}: cannot be written: {error.strerror}") from None
    print(f"wrote {to}; next: gptkit train {to} --dry-run", file=sys.stderr)


def _lines(section: Section, above: tuple[str, ...], open_: frozenset[str]) -> Iterator[str]:
    """Yield a line for each setting.

    above: the keys that lead to the section; open_: dotted keys that the dial chooses when a run starts.
    """
    texts = setting_help(type(section))
    for key in type(section).model_fields:
        value, path = getattr(section, key), (*above, key)
        is_open = ".".join(path) in open_
        indent = "  " * len(above)
        if isinstance(value, Section) and not is_open:
            yield f"{indent}{key}:"
            yield from _lines(value, path, open_)
            continue
        shown = "(chosen at the start)" if is_open else write_scalar(_plain(section, key))
        setting = f"{indent}{key}: {shown}"
        yield f"{setting:<44}  # {texts[key]}" if key in texts else setting


def _plain(section: Section, key: str) -> Any:
    return section.model_dump(mode="json", include={key})[key]
