"""No text: the source of a model that was imported, and learned elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NoReturn

from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import Section


class ImportedConfig(Section):
    """What `gptkit import` writes where other runs name their text."""

    name: Literal["imported"] = "imported"

    def check(self) -> NoReturn:
        """Raise a DataError that says what to do."""
        raise DataError(
            "data.source: an imported model brings no text; name one: gptkit eval --data my.txt,"
            " gptkit train my.yaml --set model.init_from=RUN"
        )

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Raise a DataError."""
        self.check()
