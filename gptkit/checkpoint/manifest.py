"""MANIFEST.json: what a checkpoint folder holds, so that any damage to it is noticed.

    {"files": {"config.yaml": {"sha256": "9f...", "size": 912}, ...},
     "format_version": 1, "sha256": "c4...", "step": 2000}

The manifest's own sha256 is that of its JSON in canonical form (sorted keys, no blanks, ASCII)
without that field. `format_version` and this rule keep their meaning in every version of gptkit.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeGuard

from gptkit.atomic import write_chunks

FORMAT_VERSION = 1
MANIFEST_NAME = "MANIFEST.json"
MAX_FILES = 1000

_MAX_MANIFEST_BYTES = 1 << 20
_MAX_STEP = 10**18 - 1  # what a folder's name has digits for
_LONGEST_NAME = 255
_MAX_FILE_BYTES = 1 << 50


@dataclass(frozen=True)
class FileFacts:
    """What the manifest says about one file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of a checkpoint folder."""

    step: int
    files: Mapping[str, FileFacts]
    """By name relative to the folder, with forward slashes."""
    sha256: str
    """Its own."""


class ManifestError(Exception):
    """The manifest cannot be used; the message says why."""


class NewerFormatError(ManifestError):
    """The manifest is whole, and of a format that this gptkit does not know yet."""


def write_manifest(folder: Path, step: int) -> None:
    """Describe the files that are in `folder` now; to be called last, when they are on the disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in paths]
    for name in names:
        assert safe_name(name), f"{name!r} cannot be a file of a checkpoint"
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter lock
        hashes = list(pool.map(sha256_of, paths))
    files = {
        name: {"size": path.stat().st_size, "sha256": sha256}
        for name, path, sha256 in zip(names, paths, hashes, strict=True)
    }
    content: dict[str, Any] = {"format_version": FORMAT_VERSION, "step": step, "files": files}
    write_chunks(folder / MANIFEST_NAME, [_rendered({**content, "sha256": _own_sha256(content)})])


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a checkpoint folder, checked in itself; the files are not looked at.

    Raises: ManifestError when it is missing, damaged or makes no sense; NewerFormatError.
    """
    path = folder / MANIFEST_NAME
    try:
        if path.is_symlink() or not path.is_file():
            raise ManifestError("missing" if not os.path.lexists(path) else "not a regular file")
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ManifestError(f"absurdly large: {path.stat().st_size:,} bytes")
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror or error}") from None
    try:
        content = _parsed(raw)
        claimed = content.pop("sha256", None)
        is_whole = claimed == _own_sha256(content)
    except RecursionError:
        raise ManifestError("damaged: nested too deeply") from None
    if not is_whole:
        raise ManifestError("damaged: it does not have its own sha256")
    version = content.get("format_version")
    if _is_count(version) and version > FORMAT_VERSION:
        raise NewerFormatError(
            f"made by a newer gptkit (format {_shown(version)}, not {FORMAT_VERSION})"
        )
    manifest = _understood(content, claimed)
    if raw != _rendered({**content, "sha256": claimed}):
        raise ManifestError("damaged: not in the form in which gptkit writes it")
    return manifest


def safe_name(name: str) -> bool:
    """Say whether a file name stays inside its folder, on every operating system."""
    parts = name.split("/")
    return (
        name != MANIFEST_NAME
        and len(parts) <= 2
        and len(name) <= _LONGEST_NAME
        and all(part not in ("", ".", "..") and not part.endswith((" ", ".")) for part in parts)
        and not any(character in '\\:*?"<>|' or not character.isprintable() for character in name)
        and PurePosixPath(name).as_posix() == name
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw.decode("ascii"), parse_constant=_refuse)
    except ValueError:
        raise ManifestError("damaged: not JSON") from None
    if not isinstance(content, dict):
        raise ManifestError("damaged: not a JSON object")
    return content


def _understood(content: dict[str, Any], sha256: str) -> Manifest:
    step, files = content.get("step"), content.get("files")
    if set(content) != {"format_version", "step", "files"}:
        raise ManifestError("not a checkpoint's: unknown keys, or some missing")
    if not _is_count(step) or step > _MAX_STEP:
        raise ManifestError(f"not a checkpoint's: no step {_shown(step)}")
    if not _is_count(content["format_version"]) or content["format_version"] != FORMAT_VERSION:
        raise ManifestError(f"unknown format version {_shown(content['format_version'])}")
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        raise ManifestError("not a checkpoint's: no files, or absurdly many")
    return Manifest(step, {name: _facts(name, value) for name, value in files.items()}, sha256)


def _facts(name: str, value: object) -> FileFacts:
    if not safe_name(name):
        raise ManifestError(f"the file name {_shown(name)} is not allowed")
    if not isinstance(value, dict) or set(value) != {"size", "sha256"}:
        raise ManifestError(f"{name}: no size and sha256")
    size, sha256 = value["size"], value["sha256"]
    if not _is_count(size) or size > _MAX_FILE_BYTES:
        raise ManifestError(f"{name}: absurd size {_shown(size)}")
    if not isinstance(sha256, str):
        raise ManifestError(f"{name}: the sha256 is no text")
    return FileFacts(size, sha256)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _own_sha256(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _rendered(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode("ascii")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
