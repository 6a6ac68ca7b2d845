"""A file from the web."""

import hashlib
import http.server
import threading

import pytest
from pydantic import ValidationError

from gptkit.data.download import local_name
from gptkit.data.progress import Silent
from gptkit.data.sources import UrlConfig
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError

TEXT = b"some text\n" * 1000
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """The folder `data`."""
    monkeypatch.setenv("GPTKIT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def server():
    """A server on this machine: the text at /a.txt, half of it at /half, nothing elsewhere."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in ("/a.txt", "/half"):
                self.send_error(404, "not here")
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            self.wfile.write(TEXT if self.path == "/a.txt" else TEXT[:5000])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


class Watch(Silent):
    def __init__(self):
        self.started, self.num_bytes = [], 0

    def start(self, task, total_bytes):
        self.started.append((task, total_bytes))

    def advance(self, num_bytes):
        self.num_bytes += num_bytes


def text_of(source):
    return "".join(text for document in source.documents(Utf8Policy()) for text in document)


def test_the_text_is_downloaded_once_and_kept(server, data):
    progress = Watch()
    source = UrlConfig(url=f"{server}/a.txt", sha256=SHA256)

    source.fetch(progress)
    source.fetch(progress)

    assert text_of(source).encode() == TEXT
    assert progress.started == [("downloading", len(TEXT))]
    assert progress.num_bytes == len(TEXT)
    assert [path.name for path in (data / "downloads").iterdir()] == [local_name(source.url)]


def test_a_file_url_works(tmp_path):
    path = tmp_path / "my text.txt"
    path.write_bytes(TEXT)

    assert text_of(UrlConfig(url=path.as_uri())).encode() == TEXT


def test_a_file_put_there_by_hand_is_taken(data):
    source = UrlConfig(url="https://example.invalid/a.txt", sha256=SHA256)
    (data / "downloads").mkdir(parents=True)
    (data / "downloads" / local_name(source.url)).write_bytes(TEXT)

    assert text_of(source).encode() == TEXT


def test_another_hash_is_an_error_and_nothing_is_kept(server, data):
    source = UrlConfig(url=f"{server}/a.txt", sha256="0" * 64)

    with pytest.raises(
        DataError, match=f"its sha256 is {SHA256}, and data.source.sha256 asks for 0"
    ):
        source.fetch(Silent())

    assert not data.exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/gone.txt", "HTTP 404: not here"), ("/half", "the connection ended before the file did")],
)
def test_a_download_that_fails_says_where_to_put_the_file(server, data, path, reason):
    source = UrlConfig(url=server + path)

    with pytest.raises(DataError) as error:
        source.fetch(Silent())

    target = data / "downloads" / local_name(source.url)
    assert f"{source.url}: cannot be downloaded ({reason})" in str(error.value)
    assert str(error.value).endswith(f"put it here as\n    {target}")
    assert not data.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.txt", "file:///no/such/file.txt"])
def test_a_place_that_cannot_be_reached_is_an_error(url, data):
    with pytest.raises(DataError, match="cannot be downloaded"):
        UrlConfig(url=url).fetch(Silent())

    assert not data.exists()


def test_with_a_hash_the_identity_needs_no_file():
    source = UrlConfig(url="https://example.invalid/a.txt", sha256=SHA256)

    assert source.identity() == {"files": [{"sha256": SHA256}]}


def test_the_identity_is_the_same_with_and_without_the_hash(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    url = path.as_uri()

    assert UrlConfig(url=url).identity() == UrlConfig(url=url, sha256=SHA256).identity()


@pytest.mark.parametrize("url", ["example.org/a.txt", "ftp://a/b", "https://"])
def test_only_http_and_file_urls_are_settings(url):
    with pytest.raises(ValidationError, match="pattern"):
        UrlConfig(url=url)


def test_the_local_name_is_readable_and_safe():
    name = local_name("https://example.org/a%2F..%2Fb/my text.txt?raw=1")

    assert name.startswith("my_text-")
    assert name.endswith(".txt")
    assert "/" not in name
