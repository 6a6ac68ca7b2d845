"""Which files a source reads, and what tells one state of them from another."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gptkit.errors import DataError
from gptkit.section import PathText

HASHED_BYTES = 256 << 20
"""Files up to this size are told apart by their hash, larger ones by size and times."""


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Paths = Annotated[
    tuple[PathText, ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1),
]
"""Files, glob patterns and folders, as the user wrote them; a single one need not be a list."""


@contextmanager
def open_binary(path: Path) -> Iterator[BufferedReader]:
    """Open a file of the user's for reading.

    Raises: DataError in place of the system's errors, while opening and while reading.
    """
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def find_files(paths: Sequence[str], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files that `paths` name, each once: sorted within a pattern and within a folder.

    suffixes: the endings that count in a folder; a pattern or a file name may have any.
    Raises: DataError for a path that does not exist, is empty or no file, and for nothing found.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for file in _expand(path, suffixes):
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def _expand(path: str, suffixes: tuple[str, ...]) -> list[Path]:
    place = Path(path).expanduser()
    if place.is_dir():
        files = _below(place, suffixes)
        if not files:
            raise DataError(f"{path}: this folder holds no file that ends in {_listed(suffixes)}")
    elif not os.path.lexists(place) and glob.has_magic(path):
        # Path.glob takes no absolute pattern.
        matches = map(Path, glob.glob(str(place), recursive=True))  # noqa: PTH207
        files = sorted((match for match in matches if match.is_file()), key=Path.as_posix)
        if not files:
            raise DataError(
                f"{path}: no file matches this pattern; paths are from the current directory"
            )
    else:
        files = [place]
    for file in files:
        check_file(file)
    return files


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files below a folder, hidden ones and hidden folders left out."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(suffixes) and not name.startswith("."):
                files.append(Path(parent, name))
    return sorted(files, key=Path.as_posix)


def check_file(path: Path) -> None:
    """Raise a DataError unless `path` is a file with something in it."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path}: does not exist; paths are from the current directory") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not path.is_file():
        raise DataError(f"{path}: is not a regular file")
    if size == 0:
        raise DataError(f"{path}: is empty")


def _listed(suffixes: tuple[str, ...]) -> str:
    return " or ".join(suffixes)


def file_facts(path: Path) -> dict[str, Any]:
    """Return what changes when the file's content does; not its name, so that it may be moved."""
    facts = path.stat()
    if facts.st_size > HASHED_BYTES:
        return {
            "size": facts.st_size,
            "mtime_ns": facts.st_mtime_ns,
            "ctime_ns": facts.st_ctime_ns,
        }
    with open_binary(path) as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
