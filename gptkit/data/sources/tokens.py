"""Tokens that `gptkit prepare` has made before, here or on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gptkit.errors import DataError
from gptkit.section import PathText, Section

MANIFEST = "manifest.json"


class TokensConfig(Section):
    """A prepared folder; it brings its tokenizer and its splits."""

    name: Literal["tokens"] = "tokens"
    path: PathText
    """The folder with manifest.json in it."""

    def check(self) -> None:
        """Raise a DataError unless `path` is a prepared folder."""
        folder = self.folder()
        if not folder.is_dir():
            raise DataError(
                f"{self.path}: no such folder; `gptkit prepare` says where it put its tokens"
            )
        if not (folder / MANIFEST).is_file():
            raise DataError(
                f"{self.path}: holds no {MANIFEST}, so it is not a folder of `gptkit prepare`"
            )

    def folder(self) -> Path:
        """Return the folder."""
        return Path(self.path).expanduser()
