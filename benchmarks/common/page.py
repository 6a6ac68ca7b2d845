"""The page that a benchmark writes: what was run where, then its tables, in Markdown."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gptkit.atomic import write_text

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy")


def write_page(path: Path, title: str, parts: Iterable[str], *, device: str = "cpu") -> None:
    """Write title, machine, versions, command and `parts` to a file, and say so."""
    page = "\n\n".join([f"# {title}", about(device), *parts]) + "\n"
    write_text(path, page)
    print(f"written: {path}", file=sys.stderr)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def about(device: str) -> str:
    """Return the lines that a rerun needs to compare itself with this one."""
    import torch

    import gptkit

    gpu = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    versions = [f"Python {platform.python_version()}", f"gptkit {gptkit.__version__}"]
    versions += [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    return "\n".join(
        [
            f"- machine: {_cpu()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
            f"{gpu}, {platform.system()}",
            f"- date: {datetime.now(UTC).date().isoformat()}",
            f"- versions: {', '.join(versions)}",
            f"- command: `{command()}`",
        ]
    )


def command() -> str:
    """Return how this script was called, by the names of files alone."""
    script, *arguments = sys.argv
    words = [Path(word).name if os.sep in word else word for word in arguments]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *words])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        names = {key.strip(): value.strip() for key, value in known.items()}
        features = names.get("flags", "").split()
        units = [unit for unit in ("amx_bf16", "avx512_bf16", "avx512f") if unit in features]
        return f"{names.get('model name', platform.machine())} ({', '.join(units[:2])})".replace(
            " ()", ""
        )
    return platform.processor() or platform.machine()
