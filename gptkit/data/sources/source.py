"""What the rest of the room asks of a source.

Only `documents` is needed, so that a plugin's source is a dozen lines:

    class LinesConfig(Section):
        name: Literal["lines"] = "lines"
        path: str

        def documents(self, utf8):
            yield from Path(self.path).read_text(encoding="utf-8").splitlines()

It may also have `check()`, `identity()`, `num_bytes()` and `quick_to_repeat`, as described below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

from gptkit.data.utf8 import Utf8Policy
from gptkit.section import Section

Document = str | Iterable[str]
"""A document as a whole, or in pieces that are read in order (a file larger than memory)."""


class Source(Protocol):
    """A section that gives text."""

    def documents(self, utf8: Utf8Policy) -> Iterator[Document]:
        """Yield every document, in the same order each time.

        Raises: DataError for text that cannot be read.
        """
        ...


def as_source(section: Section) -> Source:
    """Return the section as what it is."""
    assert hasattr(section, "documents"), f"{type(section).__name__} needs a method documents(utf8)"
    return cast(Source, section)


def check_source(section: Section) -> None:
    """Let a source say at once, without reading everything, what cannot work.

    Raises: DataError.
    """
    check = getattr(section, "check", None)
    if check is not None:
        check()


def source_identity(section: Section, utf8: Utf8Policy) -> dict[str, Any]:
    """Return JSON facts that change when the text does: the source's own or a hash of all text."""
    identity = getattr(section, "identity", None)
    if identity is not None:
        return cast(dict[str, Any], identity())
    digest = hashlib.sha256()
    for document in as_source(section).documents(utf8):
        for piece in (document,) if isinstance(document, str) else document:
            digest.update(piece.encode("utf-8", "surrogatepass"))
        digest.update(b"\xff")
    return {**section.model_dump(mode="json"), "text_sha256": digest.hexdigest()}


def source_bytes(section: Section) -> int | None:
    """Return about how many bytes a source reads, for a progress bar; None: it cannot know."""
    num_bytes = getattr(section, "num_bytes", None)
    return None if num_bytes is None else cast(int, num_bytes())


def quick_to_repeat(section: Section) -> bool:
    """Return whether reading a source a second time costs no more than reading a file."""
    return bool(getattr(section, "quick_to_repeat", False))


def source_place(section: Section) -> str:
    """Return how a message names the source: its files, its address, or just its name."""
    settings = section.model_dump(mode="json")
    paths = settings.get("paths")
    if paths:
        return ", ".join(paths[:3]) + (" and more" if len(paths) > 3 else "")
    known = ("path", "url", "dataset", "name")
    return str(next(settings[key] for key in known if settings.get(key)))
