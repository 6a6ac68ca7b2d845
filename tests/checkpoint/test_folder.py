"""A checkpoint folder is complete or absent, whatever moment the process dies at."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gptkit.checkpoint import Retention, SaveError, newest_usable, require_space, verify
from gptkit.checkpoint.folder import commit, remove_strays
from gptkit.checkpoint.names import candidates

Write = Callable[..., Path]


class Died(BaseException):
    """The process is gone: nothing after it can touch the disk either."""


OPERATIONS = [
    (os, "replace"), (os, "rename"), (os, "fsync"), (os, "mkdir"), (os, "unlink"), (os, "rmdir"),
    (os, "open"), (io, "open"),
]  # fmt: skip


MOST_OPERATIONS = 45
"""More than a save, a replacement or a retention needs."""


@contextmanager
def dying_at(operation: int) -> Iterator[list[int]]:
    """Let a file operation, counted from 0, and all that follow fail; yield the count so far."""
    count = [0]

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] > operation:
                raise Died
            return real(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in OPERATIONS:
            patch.setattr(module, name, mortal(getattr(module, name)))
        yield count


def whole(run_dir: Path) -> set[bytes]:
    """Return the contents of the checkpoints that verify."""
    folders = [folder for folder in candidates(run_dir) if not verify(folder)]
    return {(folder / "model.safetensors").read_bytes() for folder in folders}


def test_the_folder_holds_what_was_written(write: Write, run_dir: Path) -> None:
    folder = write(2000)

    assert folder == run_dir / "checkpoints" / "step_00002000"
    assert (folder / "model.safetensors").read_bytes() == b"weights of 2000"
    assert [path.name for path in folder.parent.iterdir()] == ["step_00002000"]


@pytest.mark.parametrize("operation", range(MOST_OPERATIONS))
def test_dying_anywhere_in_a_save_keeps_the_checkpoints_before_it(
    write: Write, run_dir: Path, operation: int
) -> None:
    write(1)
    write(2)
    with dying_at(operation), suppress(Died):
        write(3)

    assert {b"weights of 1", b"weights of 2"} <= whole(run_dir)
    assert newest_usable(run_dir) is not None


@pytest.mark.parametrize("operation", range(MOST_OPERATIONS))
def test_dying_anywhere_in_replacing_a_step_leaves_the_old_or_the_new(
    write: Write, run_dir: Path, operation: int
) -> None:
    write(1)
    write(2, "old")
    with dying_at(operation), suppress(Died):
        write(2, "new")

    assert b"weights of 1" in whole(run_dir)
    assert whole(run_dir) & {b"old of 2", b"new of 2"}
    found = newest_usable(run_dir)
    assert found is not None
    assert found.folder.name == "step_00000002"


@pytest.mark.parametrize("operation", range(MOST_OPERATIONS))
def test_dying_anywhere_in_retention_keeps_the_newest(
    write: Write, run_dir: Path, operation: int
) -> None:
    for step in (1, 2, 3, 4):
        write(step)
    with dying_at(operation), suppress(Died):
        Retention(run_dir, 2).apply()

    assert {b"weights of 3", b"weights of 4"} <= whole(run_dir)
    assert Retention(run_dir, 2).apply() == []
    assert whole(run_dir) == {b"weights of 3", b"weights of 4"}


def test_the_deaths_above_fall_into_the_whole_of_a_save(write: Write) -> None:
    write(1, "old")

    with dying_at(MOST_OPERATIONS) as count:
        write(1, "new")

    assert MOST_OPERATIONS // 2 < count[0] < MOST_OPERATIONS


def test_the_same_content_again_keeps_the_old_folder(write: Write) -> None:
    folder = write(1)
    before = (folder / "model.safetensors").stat()
    write(1)

    assert (folder / "model.safetensors").stat() == before


def test_other_content_for_the_same_step_replaces_the_folder(write: Write) -> None:
    write(1, "old")
    folder = write(1, "new")

    assert (folder / "model.safetensors").read_bytes() == b"new of 1"
    assert verify(folder) == []
    assert [path.name for path in folder.parent.iterdir()] == ["step_00000001"]


def test_a_damaged_folder_of_the_same_step_is_replaced(write: Write) -> None:
    (write(1) / "model.safetensors").write_bytes(b"damaged")

    assert verify(write(1)) == []


def test_what_dead_processes_left_is_cleaned_up(write: Write, run_dir: Path) -> None:
    folder = write(1)
    for name in (".step_00000002.tmp-1-abcd", ".step_00000000.gone-1-abcd"):
        (folder.parent / name).mkdir()
        (folder.parent / name / "half").write_bytes(b"x")
    remove_strays(run_dir)

    assert [path.name for path in folder.parent.iterdir()] == ["step_00000001"]


def test_a_failing_disk_is_reported_and_leaves_nothing(write: Write, run_dir: Path) -> None:
    write(1)

    def fill(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match=r"cannot save .*step_00000002: No space left on device"):
        commit(run_dir, 2, fill)

    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["step_00000001"]


def test_a_full_disk_is_noticed_before_writing(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"disk full: needs 1,000,000,000,000\.0 MB"):
        require_space(tmp_path, 10**18)
