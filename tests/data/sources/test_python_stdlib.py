"""The corpus that every Python has."""

import ast
import sys

import pytest

from gptkit.data.sources import python_stdlib as module
from gptkit.data.sources.python_stdlib import PythonStdlibConfig, functions_of
from gptkit.data.sources.python_stdlib_modules import MODULES
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError

SOURCE = '''
@decorated(
    "x")
def first(argument):
    """A function that is long enough to be taken, with a decorator."""
    def inner(): return "not taken a second time, since it is inside of one"
    return argument


def tiny(): pass


class Thing:
    async def method(self, name):
        """A method, dedented."""
        return f"{name}, with enough text behind it to count as a document"

    def text(self):
        return """
left of the code, so that this one cannot be dedented and is left out
"""
'''


@pytest.fixture(scope="module")
def corpus():
    return list(PythonStdlibConfig().documents(Utf8Policy()))


def test_functions_are_taken_once_dedented_with_their_decorators(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(SOURCE, encoding="utf-8")

    first, method = functions_of(path)

    assert first.startswith('@decorated(\n    "x")\ndef first(argument):\n    """A')
    assert "inner" in first
    assert method.startswith("async def method(self, name):\n    ")


def test_there_are_a_few_megabytes_of_functions(corpus):
    assert 3_000_000 < sum(map(len, corpus)) < 6_000_000
    assert len(set(corpus)) == len(corpus) > 8000


def test_documents_are_of_middling_length_and_parse(corpus):
    assert all(60 <= len(text) <= 1500 for text in corpus)
    for text in corpus[::50]:
        ast.parse(text)


def test_the_order_is_that_of_the_list_of_modules(corpus):
    assert list(MODULES) == sorted(MODULES)
    assert corpus[:20] == list(PythonStdlibConfig().documents(Utf8Policy()))[:20]


def test_the_modules_are_no_tests_and_none_that_a_version_lacks():
    parts = {part for name in MODULES for part in name.split(".")}

    assert parts.isdisjoint({"test", "tests", "idlelib", "lib2to3", "encodings", "ensurepip"})
    assert parts.isdisjoint(
        {"distutils", "imp", "asynchat", "asyncore", "smtpd", "cgi", "telnetlib"}
    )
    assert {name.split(".")[0] for name in MODULES} <= sys.stdlib_module_names


def test_a_python_without_its_sources_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))

    with pytest.raises(DataError, match=r"python_stdlib found 0 of .* came without its library"):
        PythonStdlibConfig().check()


def test_the_identity_does_not_change_by_itself():
    assert PythonStdlibConfig().identity() == PythonStdlibConfig().identity()
