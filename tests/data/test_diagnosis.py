"""What the user learns about a file that is no UTF-8 text."""

import codecs
import gzip
import io
import subprocess
import sys
import zipfile

import pytest

from gptkit.data.diagnosis import looks_like_gbk
from gptkit.data.utf8 import Utf8Policy, read_text
from gptkit.errors import DataError

CHINESE = "春眠不觉晓，处处闻啼鸟。\nhello 夜来风雨声，花落知多少。\n"


def complaint(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        list(read_text(path, Utf8Policy()))
    return str(error.value)


def a_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", "text " * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (gzip.compress(b"text" * 9, mtime=0), "compressed with gzip"),
        (a_zip(), "zip archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "PNG image"),
        (b"PAR1\x15\x04\x00", "Parquet"),
        ("hello".encode("utf-16"), "looks like UTF-16"),
        (codecs.BOM_UTF16_BE + "春眠".encode("utf-16-be"), "looks like UTF-16"),
        ("hello there".encode("utf-16-le"), "utf-16-le"),
        ("hello there".encode("utf-16-be"), "utf-16-be"),
        (b"ab\x00\x01\x02cd", "binary file"),
        (CHINESE.encode("gbk"), "looks like GBK"),
        (("plain\n" * 99 + CHINESE).encode("gb2312"), "looks like GBK"),
        ("déjà vu, naïve café\n".encode("latin-1"), "save it as UTF-8, or set data.on_bad_utf8"),
    ],
)
def test_the_likely_cause_is_named(tmp_path, data, advice):
    assert advice in complaint(tmp_path, data)


def test_the_conversion_that_is_offered_works(tmp_path):
    message = complaint(tmp_path, CHINESE.encode("gbk"))
    program = message.split('python -c "', 1)[1].removesuffix('"')

    subprocess.run([sys.executable, "-c", program], check=True)

    assert (tmp_path / "a.utf8.txt").read_text(encoding="utf-8") == CHINESE


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_western_text_is_not_taken_for_chinese(encoding):
    assert not looks_like_gbk("Großvater ißt süße Äpfel für 3 Öre, été à Nîmes".encode(encoding))
