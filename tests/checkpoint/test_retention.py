"""The newest K that verify and the best one stay."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gptkit.checkpoint import Retention, point, verify
from gptkit.checkpoint.names import candidates

Write = Callable[..., Path]


def steps(run_dir: Path) -> list[str]:
    return sorted(folder.name.removeprefix("step_0000000") for folder in candidates(run_dir))


def test_the_newest_stay(write: Write, run_dir: Path) -> None:
    for step in (1, 2, 3, 4):
        write(step)
    Retention(run_dir, 2).apply()

    assert steps(run_dir) == ["3", "4"]


def test_the_best_stays(write: Write, run_dir: Path) -> None:
    point(run_dir, "best", write(1))
    for step in (2, 3, 4):
        write(step)
    Retention(run_dir, 2).apply()

    assert steps(run_dir) == ["1", "3", "4"]


def test_a_damaged_one_does_not_count_among_the_newest(write: Write, run_dir: Path) -> None:
    for step in (1, 2, 3, 4):
        write(step)
    (run_dir / "checkpoints" / "step_00000003" / "state.json").write_bytes(b"x")
    Retention(run_dir, 2).apply()

    assert steps(run_dir) == ["2", "3", "4"]


@pytest.mark.parametrize("seed", range(20))
def test_any_history_keeps_the_newest_whole_ones_and_the_best(
    write: Write, run_dir: Path, seed: int
) -> None:
    chance = random.Random(seed)
    keep = chance.randint(2, 4)
    retention = Retention(run_dir, keep)
    written: list[int] = []
    damaged: set[int] = set()
    best = None
    for step in sorted(chance.sample(range(1, 10), 7)):
        folder = write(step)
        written.append(step)
        if chance.random() < 0.3:
            (folder / "state.json").write_bytes(b"damaged")
            damaged.add(step)
        elif chance.random() < 0.4:
            point(run_dir, "best", folder)
            best = step
        retention.apply()

    newest_whole = [step for step in written if step not in damaged][-keep:]
    expected = {*newest_whole, *({best} if best else ())}
    assert {str(step) for step in expected} <= set(steps(run_dir))
    assert {int(step) for step in steps(run_dir)} - damaged == expected


@pytest.mark.parametrize("seed", range(20))
def test_however_it_goes_two_that_verify_stay_while_training(
    write: Write, run_dir: Path, seed: int
) -> None:
    chance = random.Random(seed)
    retention = Retention(run_dir, 1)
    whole: set[int] = set()
    for step in range(1, 9):
        folder = write(step)
        whole.add(step)
        if chance.random() < 0.4:  # of any age, after retention has read it
            victim = chance.choice(sorted(whole))
            name = folder.with_name(f"step_{victim:08d}") / "state.json"
            name.write_bytes(b"damaged")
            whole.remove(victim)
        before = len(whole)
        retention.apply()
        whole &= {int(step) for step in steps(run_dir)}

        assert len(whole) == min(before, 2)


def test_a_run_that_is_complete_keeps_what_was_asked_for(write: Write, run_dir: Path) -> None:
    point(run_dir, "best", write(1))
    for step in (2, 3, 4):
        write(step)
    retention = Retention(run_dir, 1)

    retention.apply()
    assert steps(run_dir) == ["1", "3", "4"]

    retention.finish()
    assert steps(run_dir) == ["1", "4"]


def test_a_damaged_newest_one_does_not_cost_the_last_good_one(write: Write, run_dir: Path) -> None:
    for step in (1, 2, 3):
        write(step)
    (run_dir / "checkpoints" / "step_00000003" / "state.json").write_bytes(b"x")
    Retention(run_dir, 1).finish()

    assert steps(run_dir) == ["2", "3"]


def test_what_is_spared_stays_and_takes_no_other_place(write: Write, run_dir: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        write(step)
    Retention(run_dir, 2).apply(spare={"step_00000002", "step_00000009"})

    assert steps(run_dir) == ["2", "4", "5"]


def test_what_is_being_written_does_not_count(write: Write, run_dir: Path) -> None:
    for step in (1, 2):
        write(step)
    (run_dir / "checkpoints" / ".step_00000003.tmp-1-abcd").mkdir()
    Retention(run_dir, 2).apply()

    assert steps(run_dir) == ["1", "2"]


def test_what_was_read_once_is_not_read_again(
    write: Write, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = Retention(run_dir, 2)
    read: list[str] = []

    def verify_and_note(folder: Path) -> list[str]:
        read.append(folder.name)
        return verify(folder)

    monkeypatch.setattr("gptkit.checkpoint.retention.verify", verify_and_note)
    for step in (1, 2, 3, 4):
        write(step)
        retention.apply()

    assert sorted(read) == [f"step_0000000{step}" for step in (1, 2, 3, 4)]


def test_a_folder_that_cannot_be_removed_is_reported(
    write: Write, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2, 3):
        write(step)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)

    assert Retention(run_dir, 2).apply() == [
        f"cannot remove {run_dir / 'checkpoints' / 'step_00000001'}: Permission denied"
    ]
