"""Which files a source reads."""

import os

import pytest

from gptkit.data import files as module
from gptkit.data.files import file_facts, find_files
from gptkit.errors import DataError

SUFFIXES = (".txt", ".md")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of texts, and the current directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.md", "sub/c.TXT", "sub/d.py", ".hidden/e.txt", "sub/.f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")


def found(*paths):
    return [path.as_posix() for path in find_files(paths, SUFFIXES)]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["b.txt"], ["b.txt"]),
        (["b.txt", "a.md"], ["b.txt", "a.md"]),
        (["sub/d.py"], ["sub/d.py"]),
        (["."], ["a.md", "b.txt", "sub/c.TXT"]),
        (["*.txt"], ["b.txt"]),
        (["**/*.*"], ["a.md", "b.txt", "sub/c.TXT", "sub/d.py"]),
        (["*"], ["a.md", "b.txt"]),
        (["b.txt", ".", "./b.txt"], ["b.txt", "a.md", "sub/c.TXT"]),
    ],
)
def test_files_patterns_and_folders_are_found_in_a_fixed_order(paths, expected):
    assert found(*paths) == expected


def test_a_file_may_be_called_like_a_pattern(tmp_path):
    path = tmp_path / "notes [old].txt"
    path.write_text("text", encoding="utf-8")

    assert find_files([str(path)], SUFFIXES) == [path]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gone.txt", "gone.txt: does not exist; paths are from the current directory"),
        ("gone/*.txt", "gone/*.txt: no file matches this pattern"),
        ("empty.txt", "empty.txt: is empty"),
        ("bare", "bare: this folder holds no file that ends in .txt or .md"),
        ("b.txt/inner.txt", "inner.txt: cannot be read"),
    ],
)
def test_a_path_that_names_no_text_is_an_error(tmp_path, path, message):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "bare").mkdir()

    with pytest.raises(DataError) as error:
        find_files([path], SUFFIXES)

    assert message in str(error.value).replace("\\", "/")


def test_what_is_no_regular_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(module.Path, "is_file", lambda path: False)
    (tmp_path / "pipe").write_text("x", encoding="utf-8")

    with pytest.raises(DataError, match="is not a regular file"):
        find_files([str(tmp_path / "pipe")], SUFFIXES)


def test_a_file_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    monkeypatch.setattr(module.Path, "open", refuse)

    with (
        pytest.raises(DataError, match=r"a.txt: cannot be read \(Permission denied\)"),
        module.open_binary(tmp_path / "a.txt"),
    ):
        pass


def test_facts_change_with_the_content_though_size_and_time_do_not(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")
    before, times = file_facts(path), path.stat()
    path.write_text("two", encoding="utf-8")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert file_facts(path) != before


def test_facts_do_not_change_with_the_name(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")
    before = file_facts(path)

    assert file_facts(path.rename(tmp_path / "b.txt")) == before


def test_large_files_are_told_apart_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HASHED_BYTES", 2)
    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")

    assert set(file_facts(path)) == {"size", "mtime_ns", "ctime_ns"}
