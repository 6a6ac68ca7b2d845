"""Where an export goes: made beside its place under another name, proved there, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gptkit.atomic import sync_file, sync_folder
from gptkit.errors import ConfigError


def check_out(out: Path) -> None:
    """Make sure that nothing is there yet; an empty folder is nothing.

    Raises: ConfigError.
    """
    if out.resolve() == Path.cwd():
        raise ConfigError(f"--out {out}: is the current folder; give the name of a new one")
    try:
        if out.is_dir() and not any(out.iterdir()):
            return
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ConfigError(f"--out {out}: cannot be made: {error.strerror or error}") from None
    if os.path.lexists(out):
        raise ConfigError(f"--out {out}: exists already; give another name, or remove it")


def file_of(out: Path, name: str) -> Path:
    """Return the file that `--out` means: itself, or `name` in it where it has another ending."""
    return out if out.suffix == Path(name).suffix else out / name


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Yield a new folder next to `out`; what is left in it at the end of the block is removed.

    Raises: ConfigError when it cannot be made.
    """
    place = out.resolve()
    temporary = place.with_name(f".{place.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    is_new = not place.parent.exists()
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be made: {error.strerror or error}") from None
    try:
        yield temporary
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary)
            if is_new:
                place.parent.rmdir()  # refused where something was published in it


def publish(made: Path, out: Path) -> None:
    """Give a whole file or folder its name."""
    for path in (made, *made.rglob("*")):
        sync_folder(path) if path.is_dir() else sync_file(path)
    place = out.resolve()
    if place.is_dir():
        place.rmdir()
    made.rename(place)
    sync_folder(place.parent)
