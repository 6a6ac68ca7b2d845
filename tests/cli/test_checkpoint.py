"""gptkit checkpoint ls and verify, on checkpoints whole and damaged."""

import json
import subprocess
import sys

import pytest

from gptkit.checkpoint import abandon_newer, newest_usable, point
from gptkit.checkpoint.folder import commit


def write(run, step):
    def fill(folder):
        (folder / "model.safetensors").write_bytes(b"w" * 200_000)
        (folder / "state.json").write_bytes(b"{}")

    return commit(run, step, fill)


@pytest.fixture
def run(folder):
    """A run with two whole checkpoints, the older one the best."""
    run = folder / "runs" / "my"
    point(run, "best", write(run, 1))
    point(run, "last", write(run, 2))
    return run


def damage(checkpoint):
    (checkpoint / "state.json").write_bytes(b"[]")


def everything_in(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_the_listing_shows_every_checkpoint(run, gptkit):
    damage(run / "checkpoints" / "step_00000002")

    result = gptkit("checkpoint", "ls", "runs/my")

    assert result.code == 0
    assert [line.split(None, 4) for line in result.out.splitlines()] == [
        ["name", "step", "size", "mark", "state"],
        ["step_00000002", "2", "0.2", "MB", "last  state.json: damaged: another sha256"],
        ["step_00000001", "1", "0.2", "MB", "best  verifies"],
    ]
    assert result.err == "runs/my\n"


def test_the_listing_shows_what_was_set_aside(run, gptkit):
    damage(run / "checkpoints" / "step_00000002")
    newest_usable(run)
    write(run, 3)
    abandon_newer(run, 2)

    lines = gptkit("checkpoint", "ls").out.splitlines()

    assert lines[2].startswith("step_00000002.corrupt")
    assert "set aside" in lines[2]
    assert lines[3].startswith("step_00000003.abandoned")
    assert lines[3].endswith("verifies")


def test_the_listing_is_one_json_object(run, gptkit):
    listing = json.loads(gptkit("checkpoint", "ls", "--json").out)

    assert listing["path"] == "runs/my"
    newest = listing["checkpoints"][0]
    assert newest.pop("bytes") > 200_000
    assert newest == {
        "name": "step_00000002",
        "step": 2,
        "best": False,
        "last": True,
        "set_aside": False,
        "verifies": True,
        "problems": [],
    }


def test_what_verifies_ends_with_0_and_shows_every_file(run, gptkit):
    result = gptkit("checkpoint", "verify")

    assert result.code == 0
    assert result.out.splitlines()[0] == "runs/my/checkpoints/step_00000002"
    assert [line.split()[0] for line in result.out.splitlines()[1:4]] == [
        "MANIFEST.json",
        "model.safetensors",
        "state.json",
    ]
    assert result.out.count(" ok\n") == 6


def test_what_does_not_verify_ends_with_3_and_is_named(run, gptkit):
    damage(run / "checkpoints" / "step_00000002")

    result = gptkit("checkpoint", "verify", "runs/my")

    assert result.code == 3
    assert "state.json" in result.err
    assert result.err.splitlines()[-1] == (
        "error: runs/my/checkpoints/step_00000002 is not usable: state.json: damaged: another sha256"
    )
    assert "damaged: another sha256" in result.out


def test_a_verdict_is_one_json_object_with_every_hash(run, gptkit):
    (run / "checkpoints" / "step_00000001" / "state.json").unlink()

    result = gptkit("checkpoint", "verify", "--json")
    verdict = json.loads(result.out)

    assert result.code == 3
    assert verdict["verifies"] is False
    newest, oldest = verdict["checkpoints"]
    assert newest["verifies"] and not oldest["verifies"]
    assert oldest["problems"] == ["state.json: missing"]
    assert {"name": "state.json", "bytes": None, "sha256": None, "problem": "missing"} in (
        oldest["files"]
    )
    assert all(len(file["sha256"]) == 64 for file in newest["files"])


def test_a_checkpoint_folder_is_itself(run, gptkit):
    damage(run / "checkpoints" / "step_00000002")

    assert gptkit("checkpoint", "verify", "runs/my/checkpoints/step_00000001").code == 0
    assert gptkit("checkpoint", "verify", "runs/my/checkpoints/step_00000002").code == 3


def test_one_that_was_set_aside_is_no_fault_while_others_verify(run, gptkit):
    damage(run / "checkpoints" / "step_00000002")
    newest_usable(run)

    assert gptkit("checkpoint", "verify").code == 0


def test_a_run_with_nothing_but_set_aside_ones_does_not_verify(run, gptkit):
    for step in (1, 2):
        damage(run / "checkpoints" / f"step_0000000{step}")
    with pytest.raises(Exception, match="no checkpoint is usable"):
        newest_usable(run)

    result = gptkit("checkpoint", "verify")

    assert result.code == 3
    assert "step_00000002.corrupt is not usable" in result.err


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_nothing_is_changed(command, run, gptkit, folder):
    damage(run / "checkpoints" / "step_00000002")
    before = everything_in(folder)

    gptkit("checkpoint", command)

    assert everything_in(folder) == before


@pytest.mark.parametrize("command", ["ls", "verify"])
def test_no_run_and_no_checkpoint_are_usage_errors(command, folder, gptkit):
    (folder / "empty" / "checkpoints").mkdir(parents=True)

    for call, words in (([], "no run below"), (["empty"], "no checkpoint yet"), (["no"], "'no'")):
        result = gptkit("checkpoint", command, *call)
        assert result.code == 2
        assert words in result.err
        assert result.out == ""


def test_torch_is_not_imported(run):
    program = (
        "import sys; from pathlib import Path; from gptkit.recipes import checkpoint;"
        "checkpoint.verify(Path(sys.argv[1]), as_json=False); assert 'torch' not in sys.modules"
    )

    ended = subprocess.run([sys.executable, "-c", program, str(run)], capture_output=True)

    assert ended.returncode == 0, ended.stderr.decode()
