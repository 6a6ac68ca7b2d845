"""Whatever happens to a checkpoint's bytes is noticed."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.checkpoint import FileState, verify
from gptkit.checkpoint.manifest import MANIFEST_NAME, safe_name
from gptkit.checkpoint.verify import examine, stamp

Write = Callable[..., Path]
Forge = Callable[[Path, str, Any], None]
FILES = [MANIFEST_NAME, "model.safetensors", "state.json", "plugins/mine.py"]


def test_a_written_checkpoint_verifies(write: Write) -> None:
    assert verify(write(3)) == []


def test_a_checkpoint_verifies_under_another_name(write: Write, tmp_path: Path) -> None:
    moved = write(3).rename(tmp_path / "elsewhere")

    assert verify(moved) == []


def test_a_folder_renamed_to_another_step_is_noticed(write: Write) -> None:
    folder = write(3)
    renamed = folder.rename(folder.with_name("step_00000004"))

    assert verify(renamed) == ["holds step 3, against its name"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(30))
def test_every_bit_flip_is_noticed(write: Write, name: str, seed: int) -> None:
    path = write(3) / name
    content = bytearray(path.read_bytes())
    position = random.Random(seed).randrange(len(content) * 8)
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)

    problems = verify(path.parents[name.count("/")])

    assert len(problems) == 1
    assert problems[0].startswith(name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(6))
def test_every_truncation_is_noticed(write: Write, name: str, seed: int) -> None:
    path = write(3) / name
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(len(content))])

    assert verify(path.parents[name.count("/")])


@pytest.mark.parametrize("name", FILES)
def test_added_bytes_are_noticed(write: Write, name: str) -> None:
    path = write(3) / name
    path.write_bytes(path.read_bytes() + b"\n")

    assert verify(path.parents[name.count("/")])


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(write: Write, name: str) -> None:
    folder = write(3)
    (folder / name).unlink()

    assert verify(folder) == [f"{name}: missing"]


@pytest.mark.parametrize("name", ["more.txt", "plugins/more.py"])
def test_an_extra_file_is_noticed(write: Write, name: str) -> None:
    folder = write(3)
    (folder / name).write_bytes(b"")

    assert verify(folder) == [f"{name}: not in the manifest"]


def test_an_extra_folder_is_noticed_however_deep_it_goes(write: Write) -> None:
    folder = write(3)
    (folder / "/".join("d" * 20)).mkdir(parents=True)

    assert verify(folder) == ["d/d: not in the manifest"]


def test_absurdly_many_files_are_noticed(write: Write) -> None:
    folder = write(3)
    for i in range(1002):
        (folder / f"{i}").touch()

    assert verify(folder) == ["holds more than 1,000 files"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_would_command_a_terminal_is_escaped(write: Write) -> None:
    folder = write(3)
    (folder / "\x1b[2Jx").touch()

    assert verify(folder) == [r"'\x1b[2Jx': not in the manifest"]


def test_a_link_in_place_of_the_folder_is_noticed(write: Write) -> None:
    folder = write(3)
    link = folder.with_name("step_00000004")
    link.symlink_to(folder)

    assert verify(link) == ["a link, not a folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", ["model.safetensors", MANIFEST_NAME])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(write: Write, name: str) -> None:
    folder = write(3)
    (folder / name).unlink()
    os.mkfifo(folder / name)

    assert verify(folder) == [f"{name}: not a regular file"]


def test_an_examination_says_for_each_file_what_was_found(write: Write) -> None:
    folder = write(3)
    (folder / "state.json").write_bytes(b"x")
    (folder / "more").write_bytes(b"")

    files = {file.name: file for file in examine(folder).files}

    model = files["model.safetensors"]
    assert (model.num_bytes, model.problem) == (12, None)
    assert model.sha256 == hashlib.sha256(b"weights of 3").hexdigest()
    assert files["state.json"] == FileState("state.json", 1, None, "1 bytes instead of 11")
    assert files["more"] == FileState("more", 0, None, "not in the manifest")
    assert files[MANIFEST_NAME].sha256 is not None


def test_without_a_manifest_nothing_else_is_read(write: Write) -> None:
    folder = write(3)
    (folder / MANIFEST_NAME).unlink()

    examination = examine(folder)

    assert examination.problems == [f"{MANIFEST_NAME}: missing"]
    assert {file.sha256 for file in examination.files} == {None}


def test_a_stamp_changes_with_every_change_of_a_file(write: Write) -> None:
    folder = write(3)
    before = stamp(folder)
    content = (folder / "state.json").read_bytes()
    (folder / "state.json").write_bytes(content)

    assert stamp(folder) != before


def test_what_a_file_manager_leaves_is_not_held_against_a_checkpoint(write: Write) -> None:
    folder = write(3)
    (folder / ".DS_Store").write_bytes(b"macOS")

    assert verify(folder) == []


@pytest.mark.parametrize("name", ["model.safetensors", MANIFEST_NAME])
def test_a_link_in_place_of_a_file_is_noticed(write: Write, tmp_path: Path, name: str) -> None:
    folder = write(3)
    real = (folder / name).rename(tmp_path / "real")
    (folder / name).symlink_to(real)

    assert verify(folder) == [f"{name}: not a regular file"]


def test_a_folder_in_place_of_a_file_is_noticed(write: Write) -> None:
    folder = write(3)
    (folder / "state.json").unlink()
    (folder / "state.json").mkdir()

    assert verify(folder) == ["state.json: missing"]


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    assert verify(tmp_path / "no") == ["no such folder"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 2, "made by a newer gptkit"),
        ("format_version", 0, "unknown format version 0"),
        ("format_version", None, "unknown format version None"),
        ("step", -1, "no step -1"),
        ("step", True, "no step True"),
        ("step", 10**18, "no step 1000000000000000000"),
        ("step", 10**4000, "no step 1000000"),
        ("step", 1.5, "no step 1.5"),
        ("step", "x", "no step 'x'"),
        ("step", 1e400, "not JSON"),
        ("step", float("nan"), "not JSON"),
        ("format_version", True, "unknown format version True"),
        ("format_version", [[[]]], "unknown format version"),
        ("files", [], "no files"),
        ("files", {str(i): {} for i in range(1001)}, "absurdly many"),
        ("files", {"a": {"size": 1 << 63, "sha256": ""}}, "absurd size"),
        ("files", {"a": {"size": -1, "sha256": ""}}, "absurd size"),
        ("files", {"a": {"size": 1}}, "no size and sha256"),
        ("files", {"a": {"size": 1, "sha256": 5}}, "the sha256 is no text"),
        ("files", {"a": {"size": True, "sha256": ""}}, "absurd size"),
        ("files", {"../a": {"size": 1, "sha256": ""}}, "not allowed"),
        ("files", {"/etc/passwd": {"size": 1, "sha256": ""}}, "not allowed"),
        ("files", {"a" * 10_000: {"size": 1, "sha256": ""}}, "not allowed"),
        ("files", {"\ud800": {"size": 1, "sha256": ""}}, "not allowed"),
        ("surprise", 1, "unknown keys"),
    ],
)
def test_a_forged_manifest_is_refused(
    write: Write, forge: Forge, key: str, value: Any, message: str
) -> None:
    folder = write(3)
    forge(folder, key, value)

    (problem,) = verify(folder)

    assert problem.startswith(f"{MANIFEST_NAME}: ")
    assert message in problem
    assert len(problem) < 200


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"{}", b"\xff", b"NaN", b"[" * 100_000, b" " * (1 << 21)]
)
def test_garbage_for_a_manifest_is_refused(write: Write, content: bytes) -> None:
    folder = write(3)
    (folder / MANIFEST_NAME).write_bytes(content)

    assert len(verify(folder)) == 1


@pytest.mark.parametrize("depth", range(900, 1000, 3))
def test_a_manifest_that_is_nested_too_deeply_is_refused(write: Write, depth: int) -> None:
    folder = write(3)
    (folder / MANIFEST_NAME).write_bytes(b'{"a":' * depth + b"1" + b"}" * depth)

    assert len(verify(folder)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "./a",
        "a\\b",
        "C:a",
        "a/b/c",
        "a.",
        " /b",
        "a\n",
        "a\0",
    ],
)
def test_names_that_leave_the_folder_are_not_safe(name: str) -> None:
    assert not safe_name(name)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "plugins/my attention.py", "plugins/注意.py"]
)
def test_ordinary_names_are_safe(name: str) -> None:
    assert safe_name(name)
