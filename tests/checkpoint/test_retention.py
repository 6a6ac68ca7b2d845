"""The newest K that verify and the best one stay."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gptkit.checkpoint import Retention, point
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
    keep = chance.randint(1, 3)
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


def test_a_folder_that_cannot_be_removed_is_reported(
    write: Write, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        write(step)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)

    assert Retention(run_dir, 1).apply() == [
        f"cannot remove {run_dir / 'checkpoints' / 'step_00000001'}: Permission denied"
    ]
