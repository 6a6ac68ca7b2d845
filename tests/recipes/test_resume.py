"""What a start finishes of what a dead process left undone."""

from pathlib import Path

from gptkit.checkpoint import point, pointed
from gptkit.recipes.train.resume import Resumed, _finish_saving


def resumed_at(run_dir, *steps):
    folders = [run_dir / f"checkpoints/step_{step:08d}" for step in steps]
    for folder in folders:
        folder.mkdir(parents=True)
    return Resumed(run_dir, folders[-1], config=None, state={}), folders


def test_the_newest_checkpoint_becomes_the_last_one(tmp_path):
    resumed, folders = resumed_at(tmp_path, 5, 10)
    point(tmp_path, "last", folders[0])

    _finish_saving(resumed)

    assert pointed(tmp_path, "last") == folders[1]


def test_what_was_being_written_or_removed_goes_and_nothing_else(tmp_path):
    resumed, _ = resumed_at(tmp_path, 5)
    there = tmp_path / "checkpoints"
    for name in (".step_00000004.gone-12-ab", ".step_00000006.tmp-12-ab"):
        (there / name).mkdir()
    for path in (there / ".last.tmp-12-ab", tmp_path / ".config.yaml.tmp-12-ab"):
        path.write_text("half", encoding="utf-8")
    kept = [tmp_path / ".lock", tmp_path / "config.yaml", there / "best"]
    for path in kept:
        path.write_text("whole", encoding="utf-8")

    _finish_saving(resumed)

    names = {path.relative_to(tmp_path).as_posix() for path in Path(tmp_path).rglob("*")}
    assert names == {
        *(".lock", "config.yaml", "checkpoints", "checkpoints/best"),
        *("checkpoints/last", "checkpoints/step_00000005"),
    }
