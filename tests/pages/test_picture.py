"""Maps as pictures."""

import struct
import zlib

from gptkit.pages.picture import picture, png


def test_a_png_holds_the_numbers_as_gray():
    data = png([[0.0, 1.0], [0.5, 2.0]])

    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (2, 2)
    length = struct.unpack(">I", data[33:37])[0]
    assert zlib.decompress(data[41 : 41 + length]) == bytes([0, 255, 0, 0, 127, 0])
    assert struct.unpack(">I", data[29:33])[0] == zlib.crc32(data[12:29])


def test_labels_are_escaped():
    made = picture([[1.0]], "head 1", ['"><script>'])

    assert "<script>" not in made
