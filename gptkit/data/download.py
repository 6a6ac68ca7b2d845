"""Fetching a file from the web, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gptkit.data.files import open_binary
from gptkit.data.folders import publish_file, unfinished
from gptkit.data.progress import Progress
from gptkit.errors import DataError

_BLOCK_BYTES = 1 << 18


def local_name(url: str) -> str:
    """Return the file name under which a URL is kept: its own, and a few digits against mix-ups.

    >>> local_name("https://example.org/texts/input.txt")
    'input-4fcdc4d7.txt'
    """
    parts = urlsplit(url)
    own = Path(re.sub(r"[^\w.-]+", "_", unquote(parts.path).rsplit("/", 1)[-1])[-80:] or "index")
    return f"{own.stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}{own.suffix or '.txt'}"


def has_sha256(path: Path, sha256: str | None) -> bool:
    """Return whether a file is there and hashes to `sha256`; None: any will do."""
    if not path.is_file():
        return False
    if sha256 is None:
        return True
    with open_binary(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def download(
    url: str, target: Path, *, sha256: str | None, timeout: float, progress: Progress
) -> None:
    """Write what `url` holds to `target`.

    Raises: DataError where the server is out of reach, says no, falls silent, sends another file.
    """
    with unfinished(target) as place:
        try:
            found = _fetch(url, place, timeout, progress)
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            TimeoutError,
            ValueError,
        ) as error:
            raise DataError(_offline_message(url, target, error)) from error
        except ConnectionError as error:
            raise DataError(_offline_message(url, target, error)) from error
        if sha256 is not None and found != sha256:
            raise DataError(
                f"{url}: its sha256 is {found}, and data.source.sha256 asks for {sha256};"
                " the file has changed, or something between here and there changed it"
            )
        publish_file(place, target)


def _fetch(url: str, place: Path, timeout: float, progress: Progress) -> str:
    """Write the answer of the server to `place` and return its sha256."""
    request = urllib.request.Request(url, headers={"User-Agent": "gptkit"})
    digest = hashlib.sha256()
    with urllib.request.urlopen(request, timeout=timeout) as answer, place.open("wb") as file:
        length = answer.headers.get("Content-Length")
        expected = int(length) if length else None
        progress.start("downloading", expected)
        while block := answer.read1(
            _BLOCK_BYTES
        ):  # what is there: a slow server's blocks take long
            file.write(block)
            digest.update(block)
            progress.advance(len(block))
        progress.finish()
        if expected is not None and file.tell() != expected:
            raise http.client.IncompleteRead(b"", expected - file.tell())
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _offline_message(url: str, target: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    code = f"HTTP {error.code}: " if isinstance(error, urllib.error.HTTPError) else ""
    if isinstance(error, http.client.IncompleteRead):
        reason = "the connection ended before the file did"
    return (
        f"{url}: cannot be downloaded ({code}{reason or type(error).__name__});"
        f" fetch it elsewhere and put it here as\n    {target}"
    )
