"""The other programs that a proof needs: there, or why not."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

_SECONDS = 120


def why_missing(package: str, *, apart: bool = False) -> str | None:
    """Return why a package cannot be used, such as "is not installed"; None where it can.

    One that is installed and does not load, for want of a library or of another version of what it
    builds on, proves as little as one that is not there. apart: try it in a process of its own, for
    compiled code that may end the process instead of raising.
    """
    if find_spec(package) is None:
        return "is not installed"
    reason = _fails_apart(package) if apart else _fails(package)
    return None if reason is None else f"is installed, but cannot be imported: {reason[:200]}"


def _fails(package: str) -> str | None:
    try:
        import_module(package)
    except Exception as error:  # whatever its own code raises
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return None


def _fails_apart(package: str) -> str | None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"], capture_output=True, timeout=_SECONDS
    )
    if not done.returncode:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it ends Python with code {done.returncode}"
