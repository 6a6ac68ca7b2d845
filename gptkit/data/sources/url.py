"""A text file from the web, downloaded once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from gptkit.data.folders import downloads_folder
from gptkit.data.progress import Progress, Silent
from gptkit.data.sources.source import Document
from gptkit.data.sources.text import TextConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.section import PositiveFloat, Section


class UrlConfig(Section):
    """A text file that is downloaded once and kept in `data/downloads`."""

    name: Literal["url"] = "url"
    url: Annotated[str, Field(pattern=r"^(https?|file)://.")]
    """Where the text is: https://, http:// or file://."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """What its bytes must hash to, in hexadecimal; null: whatever is there."""
    timeout: PositiveFloat = 30.0
    """Longest silence of the server, in seconds."""

    def fetch(self, progress: Progress) -> TextConfig:
        """Return the source that reads the downloaded file, downloading it if it is not there.

        Raises: DataError that says where to put the file by hand.
        """
        # Commands that never download should not pay for importing http.
        from gptkit.data.download import download, has_sha256, local_name

        target = downloads_folder() / local_name(self.url)
        if not has_sha256(target, self.sha256):
            download(self.url, target, sha256=self.sha256, timeout=self.timeout, progress=progress)
        return TextConfig(paths=(str(target),))

    def identity(self) -> dict[str, Any]:
        """Return the hash that was asked for, or that of the file that came."""
        if self.sha256 is not None:
            return {"files": [{"sha256": self.sha256}]}
        return self.fetch(Silent()).identity()

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield the one document, downloading it if it is not there."""
        yield from self.fetch(Silent()).documents(utf8)
