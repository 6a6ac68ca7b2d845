"""From C++ to a loaded library: compiled once a machine, kept under a name that says all it depends on.

~/.cache/gptkit/NAME-KEY.so      KEY: sources, flags, compiler and processor
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

SWITCH = "GPTKIT_NATIVE"
_SHARED = Path(__file__).parent
"""Where the headers are that more than one source includes."""
_COMPILER = "g++"  # others have another OpenMP than torch has brought
_FLAGS = (
    *("-std=c++17", "-march=native", "-fno-math-errno"),
    *("-fopenmp", "-fPIC", "-w"),
)
_SECONDS = 120.0
_BUILDING = "building-"
_known: dict[Source, Path | str] = {}
_locks: defaultdict[Source, Lock] = defaultdict(Lock)


@dataclass(frozen=True)
class Source:
    """A C++ file, and what its compiler has to be told besides."""

    path: Path
    flags: tuple[str, ...] = ()


class _Unavailable(Exception):
    """Why nothing is compiled here, in a few words."""


def start_building(source: Source, *, gently: bool = False) -> None:
    """Compile it in the background, if that is still to be done; beside the import of torch, which takes as long.

    gently: in the time that nobody else wants, where the result is not needed soon.
    """
    Thread(target=_built, args=(source, gently), daemon=True).start()


@functools.cache
def library(source: Source) -> ctypes.CDLL | str:
    """Return what `source` compiles to, or why there is nothing.

    Needs torch to be imported: the threads are those of its OpenMP, whose symbols are found in the process.
    """
    built = _built(source)
    try:
        return built if isinstance(built, str) else ctypes.CDLL(str(built))
    except OSError as error:
        return str(error)


def obstacle() -> str:
    """Return why nothing can be compiled here, "" where there is a compiler; it may still fail."""
    try:
        _find_compiler()
    except _Unavailable as error:
        return str(error)
    return ""


def _built(source: Source, gently: bool = False) -> Path | str:
    """Return the library's file, or why there is none."""
    with _locks[source]:
        if source not in _known:
            _known[source] = _build(source, gently)
        return _known[source]


def _build(source: Source, gently: bool) -> Path | str:
    try:
        compiler = _find_compiler()
        file = _cache_folder() / f"{source.path.stem}-{_key(compiler, source)}.so"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _compile(compiler, source, file, gently)
    except (_Unavailable, OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return str(error)
    return file


def _find_compiler() -> str:
    """Raises: _Unavailable."""
    if os.environ.get(SWITCH) == "0":
        raise _Unavailable(f"{SWITCH}=0")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise _Unavailable("made for Linux on x86-64")
    compiler = shutil.which(_COMPILER)
    if compiler is None:
        raise _Unavailable(f"there is no {_COMPILER}")
    return compiler


def _compile(compiler: str, source: Source, file: Path, gently: bool) -> None:
    """Raises: _Unavailable, where the compiler fails."""
    for left in file.parent.glob(f"{_BUILDING}*"):  # by a process that ended before its compiler
        if time.time() - left.stat().st_mtime > 2 * _SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=_BUILDING) as folder:
        made, objects = Path(folder, file.name), Path(folder, "object.o")
        nice = shutil.which("nice") if gently else None
        first = [compiler] if nice is None else [nice, "-n", "19", compiler]
        flags = (*_FLAGS, *source.flags, f"-I{_SHARED}")
        _run([*first, *flags, "-c", str(source.path), "-o", str(objects)])
        # Linked without OpenMP: torch has brought its own, and two of them would fight for the cores.
        _run([compiler, "-shared", str(objects), "-o", str(made)])
        made.replace(file)


def _run(command: list[str]) -> None:
    """Raises: _Unavailable, where the command fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise _Unavailable(f"{command[0]} took longer than {_SECONDS:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["without a word"]
        said = next((line for line in lines if "error" in line), lines[0])
        raise _Unavailable(f"{command[0]} failed: {said}")


def _key(compiler: str, source: Source) -> str:
    """Return a name for what comes out: it changes when any of what goes in does."""
    path = Path(compiler).resolve()
    state = path.stat()
    parts = [
        " ".join((*_FLAGS, *source.flags)),
        str(path),
        str(state.st_size),
        str(state.st_mtime_ns),
        _processor(),
    ]
    headers = (*sorted(_SHARED.glob("*.h")), *sorted(source.path.parent.glob("*.h")))
    parts += [file.read_text(encoding="utf-8") for file in (*headers, source.path)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    """Return what -march=native looks at: a cache folder may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(
        dict.fromkeys(s for s in lines if s.startswith(("flags", "Features", "model", "vendor")))
    )


def _cache_folder() -> Path:
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "gptkit"
    return Path.home() / ".cache" / "gptkit"
