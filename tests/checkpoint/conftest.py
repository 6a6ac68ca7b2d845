"""Tiny checkpoints of plain text: what holds for them holds for those with tensors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.checkpoint.folder import commit
from gptkit.checkpoint.manifest import MANIFEST_NAME

Write = Callable[..., Path]
Forge = Callable[[Path, str, Any], None]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave flushing out: only a power cut shows the difference, and it is most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def write(run_dir: Path) -> Write:
    """write(step, content="...") makes a checkpoint of three files and returns its folder."""

    def write(step: int, content: str = "weights") -> Path:
        def fill(folder: Path) -> None:
            (folder / "model.safetensors").write_bytes(f"{content} of {step}".encode())
            (folder / "state.json").write_bytes(b'{"step": %d}' % step)
            (folder / "plugins").mkdir()
            (folder / "plugins" / "mine.py").write_bytes(b"pass\n")

        return commit(run_dir, step, fill)

    return write


@pytest.fixture
def forge() -> Forge:
    """forge(folder, key, value) changes a manifest as someone would who knows how it is hashed."""

    def forge(folder: Path, key: str, value: Any) -> None:
        path = folder / MANIFEST_NAME
        content = json.loads(path.read_bytes())
        del content["sha256"]
        content[key] = value
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        path.write_bytes((json.dumps(content, sort_keys=True, indent=1) + "\n").encode())

    return forge
