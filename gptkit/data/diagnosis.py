"""Why a file is not UTF-8 text, and what its owner can do about it."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from gptkit.data.files import open_binary
from gptkit.errors import DataError

_SAMPLE_BYTES = 1 << 16

_MAGIC = {
    b"\x1f\x8b": "it is compressed with gzip: unpack it first",
    b"BZh": "it is compressed with bzip2: unpack it first",
    b"\xfd7zXZ": "it is compressed with xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: unpack it first",
    b"PK\x03\x04": "it is a zip archive (or a Word or EPUB file): take the text out first",
    b"%PDF": "it is a PDF: take the text out first",
    b"\x89PNG": "it is a PNG image",
    b"\xff\xd8\xff": "it is a JPEG image",
    b"\x7fELF": "it is a program",
    b"PAR1": "it is a Parquet file: export its text column as JSON lines first",
}


def not_text(path: Path, offset: int) -> DataError:
    """Return the error that says what stands at byte `offset`, on which line, and what to do."""
    with open_binary(path) as file:
        head = file.read(_SAMPLE_BYTES)
        file.seek(offset)
        byte = file.read(1)
    what = "NUL" if byte == b"\0" else f"0x{byte.hex().upper()}"
    problem = "so this is not text" if byte == b"\0" else "which is not UTF-8"
    line, line_start = _line_of(path, offset)
    advice = _advice(path, head, line_start)
    return DataError(f"{path}: byte {offset} (line {line}) is {what}, {problem}; {advice}")


def _advice(path: Path, head: bytes, line_start: int) -> str:
    for magic, advice in _MAGIC.items():
        if head.startswith(magic):
            return advice
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f"it looks like UTF-16: {_conversion(path, 'utf-16')}"
    if _every_other_byte_is_nul(head):
        order = "le" if head[1:2] == b"\0" else "be"
        return f"it looks like UTF-16: {_conversion(path, f'utf-16-{order}')}"
    with open_binary(path) as file:
        file.seek(line_start)
        if looks_like_gbk(file.read(_SAMPLE_BYTES)):
            return f"it looks like GBK: {_conversion(path, 'gb18030')}"
    if b"\0" in head:
        return "it looks like a binary file"
    return "save it as UTF-8, or set data.on_bad_utf8: replace"


def looks_like_gbk(sample: bytes) -> bool:
    """Tell Chinese text in GBK (GB2312, GB18030) from the single accented letters of Latin-1.

    Common Chinese characters are two bytes from 0xA1 up: these bytes come in runs of even length.
    """
    runs = [len(run) for run in re.findall(rb"[\xa1-\xfe]+", sample[: _SAMPLE_BYTES // 2])]
    even = sum(length for length in runs if length % 2 == 0)
    if even < 0.8 * sum(runs) or not runs:
        return False
    try:
        codecs.getincrementaldecoder("gb18030")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _conversion(path: Path, encoding: str) -> str:
    # Not iconv: Windows has none, and Python is there.
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    program = (
        f"open(r'{target}', 'w', encoding='utf-8', newline='')"
        f".write(open(r'{path}', encoding='{encoding}', newline='').read())"
    )
    return f'convert it with\n    python -c "{program}"'


def _every_other_byte_is_nul(head: bytes) -> bool:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    return len(head) >= 4 and max(even, odd) > 0.3 * len(head) and min(even, odd) < 0.1 * len(head)


def _line_of(path: Path, offset: int) -> tuple[int, int]:
    """Return the number (from 1) and the first byte of the line that holds byte `offset`."""
    line, line_start, position = 1, 0, 0
    with open_binary(path) as file:
        while position < offset and (block := file.read(min(1 << 20, offset - position))):
            if (newlines := block.count(b"\n")) > 0:
                line += newlines
                line_start = position + block.rindex(b"\n") + 1
            position += len(block)
    return line, line_start
