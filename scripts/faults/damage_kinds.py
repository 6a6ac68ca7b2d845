"""Ways to damage a file of a checkpoint, or the folder that it is in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

Kind = Callable[[Path, Random], None]
"""Damages a file, or its folder; chance decides the details."""


def truncated(path: Path, rng: Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def emptied(path: Path, rng: Random) -> None:
    path.write_bytes(b"")


def removed(path: Path, rng: Random) -> None:
    path.unlink()


def lengthened(path: Path, rng: Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 5000)))


def swapped_within(path: Path, rng: Random) -> None:
    other = rng.choice(sorted(other for other in path.parent.iterdir() if other != path))
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)


def from_another_step(path: Path, rng: Random) -> None:
    """Take a file that changes from step to step from another checkpoint."""
    name = rng.choice(["model.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"])
    others = sorted(path.parent.parent.glob("step_*"))
    other = rng.choice([folder for folder in others if folder != path.parent])
    shutil.copyfile(other / name, path.parent / name)


def zeroed_page(path: Path, rng: Random) -> None:
    """Zero a page, as a disk does that lost a write."""
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content)) // 4096 * 4096
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)


def changed_manifest(path: Path, rng: Random) -> None:
    """Change the manifest in a way that leaves it JSON."""
    manifest = path.parent / "MANIFEST.json"
    text = manifest.read_text(encoding="utf-8")
    digits = [place for place, character in enumerate(text) if character.isdigit()]
    place = rng.choice(digits)
    other = rng.choice([digit for digit in "0123456789" if digit != text[place]])
    manifest.write_text(text[:place] + other + text[place + 1 :], encoding="utf-8")


def swapped_folder(path: Path, rng: Random) -> None:
    """Let the content of one step stand under another's name."""
    others = sorted(path.parent.parent.glob("step_*"))
    other = rng.choice([folder for folder in others if folder != path.parent])
    shutil.rmtree(path.parent)
    shutil.copytree(other, path.parent)


KINDS: tuple[Kind, ...] = (
    truncated,
    emptied,
    removed,
    lengthened,
    swapped_within,
    from_another_step,
    zeroed_page,
    changed_manifest,
    swapped_folder,
)
