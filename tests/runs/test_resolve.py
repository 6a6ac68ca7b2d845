"""What RUN means."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptkit.checkpoint import point
from gptkit.checkpoint.folder import commit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.runs import is_checkpoint, new_run_dir, resolve, run_folder, run_of, start_run


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    monkeypatch.setenv("GPTKIT_RUNS", str(folder))
    return folder


def checkpoint(run: Path, step: int) -> Path:
    return commit(run, step, lambda folder: _write_state(folder))


def _write_state(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"{}")


def started(name: str, *steps: int, sweep: bool = False) -> Path:
    run = new_run_dir(name)
    start_run(run, sweep=sweep)
    for step in steps:
        checkpoint(run, step)
    return run


def damage(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"damaged")


def step(run: Path, number: int) -> Path:
    return run / "checkpoints" / f"step_{number:08d}"


def test_nothing_is_the_run_that_was_started_last() -> None:
    first, _second = started("first", 1), started("second", 1)
    start_run(first)

    assert resolve(None) == step(first, 1)


def test_nothing_passes_over_sweeps_and_runs_without_checkpoint() -> None:
    run = started("run", 1)
    started("sweep", 5, sweep=True)
    started("just-started")

    assert resolve(None) == step(run, 1)


def test_nothing_passes_over_a_run_with_damaged_checkpoints_and_says_so() -> None:
    good, bad = started("good", 1), started("bad", 2)
    damage(step(bad, 2))
    said: list[str] = []

    assert resolve(None, say=said.append) == step(good, 1)
    assert "bad: no checkpoint is usable" in said[0]


def test_nothing_but_damage_is_a_checkpoint_error() -> None:
    damage(step(started("bad", 2), 2))

    with pytest.raises(CheckpointError, match=r"state\.json: 7 bytes instead of 2"):
        resolve(None)


def test_nothing_at_all_says_how_to_get_a_run(runs: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run below '.*runs' has a checkpoint; train one"):
        resolve(None)


def test_a_run_is_its_best_checkpoint() -> None:
    run = started("run", 1, 2, 3)
    point(run, "best", step(run, 2))

    assert resolve(run) == step(run, 2)
    assert resolve(run, "best") == step(run, 2)


def test_a_run_that_was_never_evaluated_is_its_last_checkpoint() -> None:
    run = started("run", 1, 20)

    assert resolve(run) == step(run, 20)


def test_last_is_the_newest_that_verifies() -> None:
    run = started("run", 1, 2, 3)
    point(run, "best", step(run, 1))
    damage(step(run, 3))
    said: list[str] = []

    assert resolve(run, "last", say=said.append) == step(run, 2)
    assert "step_00000003 is not usable" in said[0]


@pytest.mark.parametrize("spelling", ["2", "002", "step_00000002"])
def test_a_step_picks_its_checkpoint(spelling: str) -> None:
    run = started("run", 1, 2, 3)

    assert resolve(run, spelling) == step(run, 2)
    assert resolve(None, spelling) == step(run, 2)


def test_a_damaged_step_has_no_stand_in() -> None:
    run = started("run", 1, 2)
    damage(step(run, 2))

    with pytest.raises(CheckpointError, match=r"step_00000002 is not usable: state\.json"):
        resolve(run, "2")


def test_a_step_that_is_not_there_lists_those_that_are() -> None:
    run = started("run", 1, 20)

    with pytest.raises(ConfigError, match=r"has no checkpoint of step 5; there are 1, 20$"):
        resolve(run, "5")


@pytest.mark.parametrize("word", ["newest", "", "-1", "²", "2.0"])
def test_any_other_word_is_refused(word: str) -> None:
    run = started("run", 1)

    with pytest.raises(ConfigError, match="must be best, last or a step such as 2000"):
        resolve(run, word)


def test_a_checkpoint_folder_is_itself(tmp_path: Path) -> None:
    run = started("run", 1, 2)
    moved = step(run, 1).rename(tmp_path / "model")

    assert resolve(step(run, 2)) == step(run, 2)
    assert resolve(moved) == moved


def test_a_damaged_checkpoint_folder_is_a_checkpoint_error() -> None:
    run = started("run", 1, 2)
    (step(run, 1) / "MANIFEST.json").unlink()

    with pytest.raises(CheckpointError, match=r"MANIFEST\.json: missing"):
        resolve(step(run, 1))


def test_a_checkpoint_of_a_checkpoint_is_refused() -> None:
    run = started("run", 1)

    with pytest.raises(ConfigError, match="is a checkpoint already"):
        resolve(step(run, 1), "last")


def test_the_checkpoints_folder_means_its_run() -> None:
    run = started("run", 1)

    assert resolve(run / "checkpoints") == step(run, 1)


def test_a_run_without_checkpoint_says_so() -> None:
    with pytest.raises(ConfigError, match=r"'.*run' has no checkpoint yet"):
        resolve(started("run"))


def test_a_path_that_is_no_run_says_what_is_there_and_which_runs_exist(tmp_path: Path) -> None:
    started("one", 1)
    started("two", 1)
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"'nowhere' does not exist; runs below '.*': two, one$"):
        resolve(Path("nowhere"))
    with pytest.raises(ConfigError, match="is a file, neither"):
        resolve(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"neither a run \(no checkpoints/\) nor a checkpoint"):
        resolve(tmp_path)


def test_the_run_of_a_checkpoint_is_two_folders_up(tmp_path: Path) -> None:
    run = started("run", 1)

    assert run_of(step(run, 1)) == run
    assert run_of(tmp_path / "moved") is None
    assert is_checkpoint(step(run, 1))
    assert not is_checkpoint(run)


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    run = started("run", 1)
    (tmp_path / "mine").symlink_to(step(run, 1))

    assert resolve(tmp_path / "mine") == step(run, 1)


def test_the_run_folder_is_found_whatever_its_checkpoints_are_worth() -> None:
    older, newest = started("older", 1), started("newest", 2)
    started("sweep", 5, sweep=True)
    started("just-started")
    damage(step(newest, 2))

    assert run_folder(None) == newest
    assert run_folder(older) == older
    assert run_folder(older / "checkpoints") == older


def test_without_any_run_there_is_no_run_folder() -> None:
    with pytest.raises(ConfigError, match="has a checkpoint; train one with"):
        run_folder(None)


def test_many_problems_of_a_checkpoint_make_a_short_message() -> None:
    folder = step(started("run", 1), 1)
    for i in range(500):
        (folder / f"{i}").touch()

    with pytest.raises(CheckpointError, match="and 497 more problems") as caught:
        resolve(folder)
    assert len(str(caught.value)) < 1000
