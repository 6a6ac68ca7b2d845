"""The configs that come with gptkit: found by bare name, in the repository and in the installed package."""

from __future__ import annotations

from pathlib import Path

from gptkit.config.problems import suggest
from gptkit.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_folder() -> Path:
    """Return the folder of the shipped configs: inside the wheel, or beside the package in a checkout."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configs by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.yaml"))}


def find_config(name: str) -> Path:
    """Return the file that `name` means: a path, or the bare name of a shipped config.

    Raises: ConfigError when there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = shipped_configs()
    bare = name.removesuffix(".yaml")
    if bare in shipped:
        return shipped[bare]
    if path.is_dir():
        raise ConfigError(f"{name}: is a folder; give a YAML file")
    raise ConfigError(
        f"{name}: no such file, and no shipped config of that name"
        f"{suggest(bare, list(shipped))}; shipped: {', '.join(shipped)}"
    )


def describe(path: Path) -> str:
    """Return the comment on a config's first line, which says what it is for."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()
