"""A table of numbers between 0 and 1 as a picture in the page: a PNG of one pixel a number."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Sequence

from gptkit.pages.html import Html, element

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY_8_BIT = b"\x08\x00\x00\x00\x00"


def picture(rows: Sequence[Sequence[float]], caption: str, labels: Sequence[str]) -> Html:
    """Return a square map with a caption; 0 is the color of the paper. labels: of rows and of columns."""
    data = base64.b64encode(png(rows)).decode("ascii")
    return element(
        "figure",
        element("figcaption", element("small", caption)),
        element(
            "img",
            src=f"data:image/png;base64,{data}",
            alt=f"{caption}: {len(rows)} x {len(rows)} weights",
            data_labels=json.dumps(list(labels), ensure_ascii=False),
        ),
        class_="map",
    )


def png(rows: Sequence[Sequence[float]]) -> bytes:
    """Return a gray PNG, 0 white and 1 black.

    Reference: PNG specification, W3C, third edition: chunks of section 5, filter type 0 of section 9.
    """
    lines = b"".join(
        b"\0" + bytes(255 - round(255 * min(1.0, max(0.0, value))) for value in row) for row in rows
    )
    size = struct.pack(">II", len(rows[0]), len(rows))
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", size + _GRAY_8_BIT),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
