"""From C++ to a library, or a reason why there is none."""

import os
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401  # libraries find its OpenMP in the process

from gptkit.model.native import PARTS
from gptkit.native import build
from gptkit.native.build import Source, library

needs_a_compiler = pytest.mark.skipif(
    isinstance(library(PARTS), str), reason=f"nothing is compiled here: {library(PARTS)}"
)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A source of this test's own: nothing is known of it."""
    file = tmp_path / "answer.cpp"
    file.write_text(
        '#include "numbers.h"\nextern "C" int gptkit_answer() { return 42; }\n', "utf-8"
    )
    return Source(file)


def fresh(monkeypatch: pytest.MonkeyPatch, cache: Path, path: str | None = None) -> None:
    """Let `build` forget what it knows, and look elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    if path is not None:
        monkeypatch.setenv("PATH", path)


def test_a_source_becomes_functions(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh(monkeypatch, tmp_path)

    found = library(source)

    if isinstance(found, str):
        pytest.skip(f"nothing is compiled here: {found}")
    assert found.gptkit_answer() == 42


def test_without_a_compiler_there_is_a_reason(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh(monkeypatch, tmp_path, path="")

    assert library(source) in ("there is no g++", "made for Linux on x86-64")


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is compiled there")
def test_what_a_failing_compiler_says_is_the_reason_and_nothing_is_kept(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\necho no room >&2\nexit 1\n", encoding="utf-8")
    compiler.chmod(0o755)
    fresh(monkeypatch, tmp_path / "cache", path=str(compiler.parent))

    assert library(source) == f"{compiler} failed: no room"
    assert list((tmp_path / "cache").rglob("*.so")) == []


@needs_a_compiler
def test_what_an_ended_process_left_half_built_is_removed(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "gptkit" / "building-old", tmp_path / "gptkit" / "building-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "step.o").touch()
    os.utime(old, (0, 0))
    fresh(monkeypatch, tmp_path)
    monkeypatch.setattr(build, "_run", lambda command: Path(command[-1]).touch())

    library(source)

    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_made_is_a_reason(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    fresh(monkeypatch, tmp_path / "file")

    assert isinstance(library(source), str)


def test_the_switch_is_a_reason(
    source: Source, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh(monkeypatch, tmp_path)
    monkeypatch.setenv("GPTKIT_NATIVE", "0")

    assert library(source) == "GPTKIT_NATIVE=0"


@needs_a_compiler
def test_another_compiler_or_processor_has_a_library_of_its_own(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("one", encoding="utf-8")
    keys = {build._key(str(compiler), source)}
    compiler.write_text("another", encoding="utf-8")
    keys.add(build._key(str(compiler), source))
    monkeypatch.setattr(build, "_processor", lambda: "another")
    keys.add(build._key(str(compiler), source))

    assert len(keys) == 3
