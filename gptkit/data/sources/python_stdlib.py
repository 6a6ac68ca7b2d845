"""The functions of Python's own standard library: a corpus that every machine already has.

It is read at run time from the interpreter that runs gptkit, so nothing of it is in this
repository; from one version of Python to the next, few of its lines change.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
import textwrap
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from gptkit.data.files import open_binary
from gptkit.data.sources.python_stdlib_modules import MODULES
from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import Section

_EXTRACTION = 1
"""Raised when the rule below gives other documents."""
_MIN_CHARACTERS = 60
_MAX_CHARACTERS = 1500

Function = ast.FunctionDef | ast.AsyncFunctionDef


class PythonStdlibConfig(Section):
    """Functions of this Python's own standard library, each a document."""

    name: Literal["python_stdlib"] = "python_stdlib"

    def check(self) -> None:
        """Raise a DataError where this Python came without its sources."""
        source_files()

    def identity(self) -> dict[str, Any]:
        """Return what changes with the version of Python."""
        digest = hashlib.sha256()
        for path in source_files():
            with open_binary(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return {"extraction": _EXTRACTION, "sources_sha256": digest.hexdigest()}

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield every function once, in the order of modules and lines."""
        seen: set[str] = set()
        for path in source_files():
            for text in functions_of(path):
                if text not in seen:
                    seen.add(text)
                    yield text


def source_files() -> list[Path]:
    """Return the files of the corpus, in its order.

    Raises: DataError where this Python came without sources (an embedded or a stripped one).
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = [path for name in MODULES if (path := _file_of(root, name)) is not None]
    if len(files) < 0.9 * len(MODULES):
        raise DataError(
            f"data.source: python_stdlib found {len(files)} of {len(MODULES)} modules in {root}:"
            " this Python came without its library's sources; use another one, or your own text"
        )
    return files


def _file_of(root: Path, module: str) -> Path | None:
    place = root.joinpath(*module.split("."))
    candidates = (place.with_name(f"{place.name}.py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def functions_of(path: Path) -> Iterator[str]:
    """Yield the functions and methods of a Python file that are neither tiny nor long, dedented.

    A function inside one that was taken is not taken again.
    """
    with tokenize.open(path) as file:
        source = file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in old modules
        tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    yield from _functions(tree, lines)


def _functions(node: ast.AST, lines: list[str]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        text = _text_of(child, lines) if isinstance(child, Function) else None
        if text is not None:
            yield text
        else:
            yield from _functions(child, lines)


def _text_of(function: Function, lines: list[str]) -> str | None:
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    text = textwrap.dedent("".join(lines[first - 1 : function.end_lineno]))
    # A string that reaches further left than the code keeps the dedent from working.
    if text[:1].isspace() or not _MIN_CHARACTERS <= len(text) <= _MAX_CHARACTERS:
        return None
    return text
