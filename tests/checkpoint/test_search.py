"""Which checkpoint a run goes on from, and what is said about the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.checkpoint import (
    abandon_newer,
    best_verified,
    checkpoints,
    newest_usable,
    newest_verified,
    point,
    pointed,
)
from gptkit.errors import CheckpointError

Write = Callable[..., Path]
Forge = Callable[[Path, str, Any], None]


def damage(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"x")


def test_nothing_was_ever_written(run_dir: Path) -> None:
    assert newest_usable(run_dir) is None
    assert newest_verified(run_dir) is None
    assert best_verified(run_dir) is None


def test_a_save_that_never_ended_counts_as_nothing(run_dir: Path) -> None:
    (run_dir / "checkpoints" / ".step_00000001.tmp-1-a").mkdir(parents=True)

    assert newest_usable(run_dir) is None


def test_the_highest_step_is_the_newest(write: Write, run_dir: Path) -> None:
    newest = write(10)
    write(9)

    found = newest_usable(run_dir)

    assert found is not None
    assert found.folder == newest
    assert found.notes == ()


def test_resuming_sets_a_damaged_one_aside_and_says_why(write: Write, run_dir: Path) -> None:
    older, newest = write(1), write(2)
    damage(newest)

    found = newest_usable(run_dir)

    assert found is not None
    assert found.folder == older
    assert found.notes == (
        f"{newest} is not usable: state.json: 1 bytes instead of 11;"
        " renamed to step_00000002.corrupt",
    )
    assert not newest.exists()


def test_a_step_damaged_twice_is_set_aside_under_two_names(write: Write, run_dir: Path) -> None:
    write(1)
    for _ in range(2):
        damage(write(2))
        newest_usable(run_dir)

    names = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert names == {"step_00000001", "step_00000002.corrupt", "step_00000002.corrupt-2"}


def test_reading_changes_nothing(write: Write, run_dir: Path) -> None:
    older, newest = write(1), write(2)
    damage(newest)

    found = newest_verified(run_dir)

    assert found is not None
    assert found.folder == older
    assert newest.is_dir()


def test_no_usable_one_is_an_error_with_every_reason(write: Write, run_dir: Path) -> None:
    damage(write(1))
    (write(2) / "model.safetensors").unlink()

    with pytest.raises(CheckpointError) as caught:
        newest_usable(run_dir)

    assert "no checkpoint is usable" in str(caught.value)
    assert "step_00000001 is not usable: state.json: 1 bytes" in str(caught.value)
    assert "step_00000002 is not usable: model.safetensors: missing" in str(caught.value)


def test_it_is_still_an_error_once_all_are_set_aside(write: Write, run_dir: Path) -> None:
    damage(write(1))
    with pytest.raises(CheckpointError):
        newest_usable(run_dir)

    with pytest.raises(CheckpointError, match="was set aside before"):
        newest_usable(run_dir)


def test_one_of_a_newer_gptkit_stops_the_run_and_is_left_alone(
    write: Write, run_dir: Path, forge: Forge
) -> None:
    write(1)
    newest = write(2)
    forge(newest, "format_version", 99)

    with pytest.raises(CheckpointError, match="made by a newer gptkit"):
        newest_usable(run_dir)
    assert newest.is_dir()


def test_a_replaced_one_stands_in_for_its_missing_successor(write: Write, run_dir: Path) -> None:
    folder = write(1)
    folder.rename(folder.with_name("step_00000001.replaced-1-abcd"))

    found = newest_usable(run_dir)

    assert found is not None
    assert found.folder == folder
    assert folder.is_dir()


def test_best_is_what_the_pointer_names(write: Write, run_dir: Path) -> None:
    best = write(1)
    write(2)
    point(run_dir, "best", best)

    found = best_verified(run_dir)

    assert found is not None
    assert found.folder == best


@pytest.mark.parametrize(
    "content", [b"", b"step_00000009\n", b"../x", b"..", b"\xff\xfe", b"9" * 10_000, b"\0"]
)
def test_a_pointer_to_nothing_falls_back_to_the_newest(
    write: Write, run_dir: Path, content: bytes
) -> None:
    write(1)
    newest = write(2)
    (run_dir / "checkpoints" / "best").write_bytes(content)

    found = best_verified(run_dir)

    assert found is not None
    assert found.folder == newest
    assert pointed(run_dir, "best") is None


def test_a_damaged_best_falls_back_to_the_newest_and_says_so(write: Write, run_dir: Path) -> None:
    best, newest = write(1), write(2)
    point(run_dir, "best", best)
    damage(best)

    found = best_verified(run_dir)

    assert found is not None
    assert found.folder == newest
    assert "step_00000001 is not usable" in found.notes[0]


def test_going_on_from_an_earlier_step_sets_later_ones_aside(write: Write, run_dir: Path) -> None:
    for step in (1, 2, 3):
        write(step)

    notes = abandon_newer(run_dir, 1)

    found = newest_usable(run_dir)
    assert found is not None
    assert found.folder.name == "step_00000001"
    assert len(notes) == 2
    assert "step_00000003 renamed to step_00000003.abandoned" in notes[0]


def test_the_listing_has_every_checkpoint_newest_first(write: Write, run_dir: Path) -> None:
    point(run_dir, "best", write(1))
    damage(write(2))
    newest_usable(run_dir)
    write(4)
    abandon_newer(run_dir, 3)
    point(run_dir, "last", write(3))

    listing = checkpoints(run_dir)

    assert [(e.folder.name, e.step, e.is_best, e.is_last, e.is_set_aside) for e in listing] == [
        ("step_00000003", 3, False, True, False),
        ("step_00000001", 1, True, False, False),
        ("step_00000002.corrupt", None, False, False, True),
        ("step_00000004.abandoned", None, False, False, True),
    ]
    assert [bool(entry.problems) for entry in listing] == [False, False, True, False]
    assert all(entry.num_bytes > 0 for entry in listing)


def test_a_link_to_a_checkpoint_elsewhere_is_none_of_the_run(
    write: Write, run_dir: Path, tmp_path: Path
) -> None:
    mine, other = write(1), write(2).rename(tmp_path / "other")
    mine.with_name("step_00000002").symlink_to(other)

    found = newest_usable(run_dir)

    assert found is not None
    assert found.folder == mine
    assert "step_00000002 is not usable: a link, not a folder" in found.notes[0]
    assert other.is_dir()
