"""Folders that are complete or not there."""

import os
import time

import pytest

from gptkit.data.folders import data_folder, publish_folder, unfinished
from gptkit.errors import DataError


def fill(folder, text="whole"):
    folder.mkdir(parents=True)
    (folder / "file").write_text(text, encoding="utf-8")


def usable(folder):
    return (folder / "file").read_text(encoding="utf-8") != "broken"


def test_a_finished_folder_appears_under_its_name(tmp_path):
    target = tmp_path / "a" / "b"

    with unfinished(target) as place:
        fill(place)
        assert not target.exists()
        publish_folder(place, target, usable)

    assert [path.name for path in target.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing_and_no_parents(tmp_path, error):
    with pytest.raises(error), unfinished(tmp_path / "a" / "b" / "c") as place:
        fill(place)
        raise error

    assert list(tmp_path.iterdir()) == []


def test_parents_that_were_there_or_hold_something_stay(tmp_path):
    (tmp_path / "a").mkdir()

    with pytest.raises(ValueError), unfinished(tmp_path / "a" / "b" / "c") as place:
        fill(place)
        fill(tmp_path / "a" / "b" / "other")
        raise ValueError

    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["other"]


@pytest.mark.parametrize(("there", "kept"), [("first", "first"), ("broken", "second")])
def test_the_first_of_two_wins_unless_it_is_broken(tmp_path, there, kept):
    target = tmp_path / "a"

    with unfinished(target) as place:
        fill(place, "second")
        fill(target, there)
        publish_folder(place, target, usable)

    assert (target / "file").read_text(encoding="utf-8") == kept
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_long_ago_is_removed(tmp_path):
    old, new = tmp_path / ".unfinished-a-1", tmp_path / ".unfinished-a-2"
    fill(old)
    fill(new)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)

    with unfinished(tmp_path / "b"):
        pass

    assert list(tmp_path.iterdir()) == [new]


def test_a_place_that_cannot_be_written_is_an_error_that_names_the_variable(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(DataError, match=r"cannot be written .*GPTKIT_DATA names another place"),
        unfinished(tmp_path / "file" / "a"),
    ):
        pass


def test_the_environment_names_the_data_folder(monkeypatch):
    monkeypatch.setenv("GPTKIT_DATA", "elsewhere")
    assert data_folder().name == "elsewhere"

    monkeypatch.setenv("GPTKIT_DATA", "")
    assert data_folder().name == "data"
