"""Datasets of the Hugging Face hub, streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import Field

from gptkit.data.sources.source import Document
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import ConfigError, DataError
from gptkit.section import PositiveInt, Section


class HuggingFaceConfig(Section):
    """A dataset of the Hugging Face hub, each row a document (pip install 'gptkit[hf]')."""

    name: Literal["hf"] = "hf"
    dataset: Annotated[str, Field(min_length=1)]
    """Its name on the hub, such as roneneldan/TinyStories."""
    config: str | None = None
    """Which of its configurations; null: its default."""
    split: str = "train"
    """Which of its splits; validation text is held out of this one."""
    text_field: str = "text"
    """The column that holds the text."""
    revision: str | None = None
    """A commit or tag of the dataset; null: the newest, and later changes are not noticed."""
    max_documents: PositiveInt | None = None
    """Rows to read; null: all."""

    def check(self) -> None:
        """Raise a ConfigError where the package `datasets` is missing."""
        _datasets()

    def identity(self) -> dict[str, Any]:
        """Return the settings: what the hub holds is known only after a download."""
        return self.model_dump(mode="json")

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield the text of every row.

        Raises: ConfigError without the package `datasets`, DataError for what hub or row lack.
        """
        for number, row in enumerate(islice(self._rows(), self.max_documents)):
            where = f"dataset '{self.dataset}': row {number}"
            if self.text_field not in row:
                columns = ", ".join(f"'{column}'" for column in row)
                raise DataError(
                    f"{where}: has no field '{self.text_field}', only {columns};"
                    " data.source.text_field names another"
                )
            text = row[self.text_field]
            if not isinstance(text, str):
                raise DataError(
                    f"{where}: field '{self.text_field}' must be a string,"
                    f" not {type(text).__name__}"
                )
            yield utf8.well_formed(text, where)

    def _rows(self) -> Iterator[dict[str, Any]]:
        datasets = _datasets()
        try:
            rows: Iterable[dict[str, Any]] = datasets.load_dataset(
                self.dataset,
                name=self.config,
                split=self.split,
                revision=self.revision,
                streaming=True,
            )
            yield from rows
        except Exception as error:  # its network, format and name errors have no common base
            raise DataError(
                f"dataset '{self.dataset}' (split '{self.split}'): {type(error).__name__}: {error}"
            ) from error


def _datasets() -> Any:
    try:
        return import_module("datasets")
    except ImportError as error:
        raise ConfigError(
            "data.source: 'hf' needs the package datasets: pip install 'gptkit[hf]'"
        ) from error
