"""Counts what a process does to files below its checkpoints/, and kills it before the n-th time.

Nothing in the package knows of it: opening, renaming and removing are seen through Python's audit
hook, flushing through os.fsync, tensors through the one function that writes them past Python. All
threads are seen. Run as a file it starts the program under itself, cold:

    python -P instrument.py '{"folder": ..., "kill_at": 17, ...}' train my.yaml --resume auto
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AUDITED = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir"}


@dataclass(frozen=True)
class Instrument:
    """What to do to a process."""

    folder: str
    """The checkpoints folder whose operations are counted."""
    log: str
    """File that takes a line per operation; it is opened once and lies outside the folder."""
    kill_at: int | None = None
    """The process dies before this operation, counted from 1; None: it lives."""
    obstruct: bool = False
    """Put another folder of the same name in the way of every checkpoint before it is written."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Instrument:
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class _Counter:
    def __init__(self, instrument: Instrument) -> None:
        self._folder = os.path.abspath(instrument.folder)  # noqa: PTH100 (no Path work in a hook)
        self._instrument = instrument
        self._log = os.open(instrument.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.RLock()
        self._count = 0
        self._busy = False

    def saw(self, event: str, path: object) -> None:
        """Count one operation, if it is below the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if not name.startswith(self._folder + os.sep):
            return
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                self._count += 1
                os.write(self._log, f"{event} {name[len(self._folder) + 1 :]}\n".encode())
                if self._instrument.obstruct and event == "os.mkdir":
                    _obstruct(Path(name))
                if self._count == self._instrument.kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            finally:
                self._busy = False


def install(instrument: Instrument) -> None:
    """Watch this process from now on."""
    counter = _Counter(instrument)

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event in _AUDITED and arguments:
            path = arguments[0]
            # Removing a tree names its files relative to a folder that is open.
            counter.saw(event, path if _directory(event, arguments) is None else _in(arguments))

    sys.addaudithook(audit)
    _watch_fsync(counter)
    _watch_tensors(counter)


def _directory(event: str, arguments: tuple[object, ...]) -> int | None:
    if event in ("os.remove", "os.rmdir") and len(arguments) > 1:
        descriptor = arguments[1]
        if isinstance(descriptor, int) and descriptor >= 0:
            return descriptor
    return None


def _in(arguments: tuple[object, ...]) -> str:
    return f"{_path_of(arguments[1])}/{os.fsdecode(arguments[0])}"  # type: ignore[arg-type]


def _path_of(descriptor: object) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return "/unknown"


def _watch_fsync(counter: _Counter) -> None:
    fsync = os.fsync

    def watched(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        counter.saw("os.fsync", _path_of(number))
        fsync(descriptor)

    os.fsync = watched  # type: ignore[assignment]


def _watch_tensors(counter: _Counter) -> None:
    import safetensors.torch

    module: Any = safetensors.torch
    write: Callable[..., None] = module.serialize_file

    def watched(tensors: Any, filename: Any, *arguments: Any, **options: Any) -> None:
        counter.saw("write", filename)
        write(tensors, filename, *arguments, **options)

    module.serialize_file = watched


def _obstruct(temporary: Path) -> None:
    """Put a folder where `.step_00000008.tmp-1-ab` will go: the last whole checkpoint's content."""
    _, step, mark = (
        temporary.name.split(".")[:3] if temporary.name.startswith(".") else ("", "", "")
    )
    others = sorted(path for path in temporary.parent.glob("step_????????") if path.name < step)
    if mark.startswith("tmp") and others and not (temporary.parent / step).exists():
        shutil.copytree(others[-1], temporary.parent / step)


def main() -> None:
    """Start the program under the instrument that the first argument describes."""
    install(Instrument.from_json(json.loads(sys.argv[1])))
    sys.argv = ["gptkit", *sys.argv[2:]]
    from gptkit.cli import main as gptkit

    gptkit()


if __name__ == "__main__":
    main()
