r"""Cutting long text into pieces that encode to the same tokens as the whole.

Tokenizers see pieces, never a whole corpus: memory stays bounded, and the regular expressions
inside tiktoken fail on runs of about a million spaces. A piece ends where every split pattern cuts
anyway:

    ...print(x)\n|def f():...     after a line end between two characters that are no space
    ...the end| of the...         between a letter and one space or sign that a letter follows

Where a piece's worth of text has no such place (a million spaces), it is cut at its full length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex  # type: ignore[import-untyped]

PIECE_LIMIT = 64 * 1024
"""Longest piece, in characters."""

# Searched from the end, hence (?r). Left out: "/" after a line end, which o200k_base keeps with the
# signs before it, and apostrophes between letters, which begin contractions.
_SAFE_CUT = regex.compile(
    r"(?r)"
    r"(?<=\S\n)(?=[^\s/])"
    r"|(?<=\p{L})(?=[\p{P}\p{Zs}--']\p{L})",
    regex.VERSION1,
)


def split_pieces(chunks: Iterable[str], limit: int = PIECE_LIMIT) -> Iterator[str]:
    """Yield the text of `chunks` in pieces of at most `limit` characters, cut at safe places.

    Chunks may be of any size; the pieces are a function of their concatenation alone.
    """
    waiting: list[str] = []
    length = 0
    for chunk in chunks:
        waiting.append(chunk)
        length += len(chunk)
        if length > limit:
            text = "".join(waiting)
            start = 0
            while length - start > limit:
                end = start + _piece_length(text[start : start + limit + 1])
                yield text[start:end]
                start = end
            waiting = [text[start:]]
            length -= start
    if length:
        yield "".join(waiting)


def _piece_length(window: str) -> int:
    """Return where to cut `window`, whose last character already belongs to the next piece."""
    cut = _SAFE_CUT.search(window)
    return cut.start() if cut is not None else len(window) - 1
