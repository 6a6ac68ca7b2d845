"""Checkpoints made to do harm: refused in a few words, whichever command reads them.

Who makes one can make its manifest too, so each is sealed with the right hashes after the change.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import gptkit as package
from gptkit.checkpoint import step_name
from gptkit.checkpoint.manifest import MANIFEST_NAME, write_manifest
from gptkit.errors import GptkitError
from tests.cli.hostile import (
    CANARY,
    CLAIMS,
    CONFIGS,
    OPTIMIZERS,
    PLUGINS,
    STATES,
    TOKENIZERS,
    WEIGHTS,
    weights,
)

STEP = 3
CHECKPOINT = Path("runs", "my", "checkpoints", step_name(STEP))
CONFIG = """\
data: {source: {name: text, paths: [my.txt]}, tokenizer: {name: char}}
model: {n_layer: 2, n_head: 2, n_embd: 16, context_length: 16}
training: {max_steps: 6, batch_size: 4, save_every: 3, eval_every: 3, sample_tokens: 0}
runtime: {device: cpu, dtype: float32, compile: false}
"""
ALL = ("sample", "eval", "load", "resume")
READERS = ("sample", "eval", "load")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a config, its text, and a run that can go on after three steps."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "my.txt").write_text("the quick brown fox jumps over it.\n" * 50, encoding="utf-8")
    (folder / "my.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("GPTKIT_RUNS", "GPTKIT_DATA"):
            patch.delenv(name, raising=False)
        package.train("my.yaml")
        (folder / CHECKPOINT.parent / "best").unlink()
        shutil.rmtree(folder / CHECKPOINT.with_name(step_name(6)))
    return folder


@pytest.fixture
def checkpoint(trained, folder):
    """The checkpoint of that run in the current folder, to be changed."""
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return folder / CHECKPOINT


def seal(checkpoint):
    """Give a changed checkpoint a manifest that fits."""
    (checkpoint / MANIFEST_NAME).unlink()
    write_manifest(checkpoint, STEP)


def refused(command, gptkit, capfd):
    """Run a command on the run and return its exit code and message."""
    if command == "load":
        capfd.readouterr()
        try:
            package.load("runs/my").generate("the", max_new_tokens=2)
        except GptkitError as error:
            return error.exit_code, str(error)
        return 0, ""
    calls = {
        "sample": ("sample", "runs/my", "--prompt", "the", "--max-new-tokens", "2"),
        "eval": ("eval", "runs/my", "--data", "my.txt"),
        "resume": ("train", "my.yaml", "--resume", "runs/my"),
    }
    result = gptkit(*calls[command])
    assert "Traceback" not in result.err
    return result.code, result.err[result.err.find("error: ") :]


def test_the_checkpoint_is_read_by_all_commands_before_it_is_changed(checkpoint, gptkit, capfd):
    seal(checkpoint)

    assert [refused(command, gptkit, capfd)[0] for command in ALL] == [0, 0, 0, 0]


def check(change, checkpoint, commands, gptkit, capfd):
    change(checkpoint)
    seal(checkpoint)
    for command in commands:
        code, message = refused(command, gptkit, capfd)
        assert code in (2, 3), (command, code, message)
        assert len(message) < 2000
    assert not CANARY.exists()


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(case, checkpoint, gptkit, capfd):
    check(WEIGHTS[case], checkpoint, ALL, gptkit, capfd)


@pytest.mark.parametrize("case", TOKENIZERS)
def test_tokenizers(case, checkpoint, gptkit, capfd):
    check(TOKENIZERS[case], checkpoint, READERS, gptkit, capfd)


@pytest.mark.parametrize("case", CONFIGS)
def test_configs(case, checkpoint, gptkit, capfd):
    check(CONFIGS[case], checkpoint, ALL, gptkit, capfd)


@pytest.mark.parametrize("case", CLAIMS)
def test_configs_that_ask_for_more_memory_than_there_is(case, checkpoint, gptkit, capfd):
    check(CLAIMS[case], checkpoint, ALL, gptkit, capfd)


@pytest.mark.parametrize("case", PLUGINS)
def test_plugins(case, checkpoint, gptkit, capfd):
    check(PLUGINS[case], checkpoint, READERS, gptkit, capfd)

    refused("resume", gptkit, capfd)
    assert not CANARY.exists()


@pytest.mark.parametrize("case", STATES)
def test_states(case, checkpoint, gptkit, capfd):
    check(STATES[case], checkpoint, ["resume"], gptkit, capfd)


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizer_states(case, checkpoint, gptkit, capfd):
    check(OPTIMIZERS[case], checkpoint, ["resume"], gptkit, capfd)


def test_weights_that_are_finite_and_absurd(checkpoint, gptkit, capfd):
    weights(lambda w: w["final_norm.weight"].fill_(3e38))(checkpoint)
    seal(checkpoint)

    for command in ("sample", "load"):
        code, message = refused(command, gptkit, capfd)
        assert code == 3
        assert "NaN or infinite" in message


def test_thousands_of_files(checkpoint, gptkit, capfd):
    for i in range(2000):
        (checkpoint / f"{i}").touch()
    seal(checkpoint)

    for command in ALL:
        code, message = refused(command, gptkit, capfd)
        assert code == 3
        assert len(message) < 2000


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "config.yaml", MANIFEST_NAME])
def test_a_link_that_leads_out_of_the_folder(name, checkpoint, folder, gptkit, capfd):
    (checkpoint / name).rename(folder / "outside")
    (checkpoint / name).symlink_to(folder / "outside")

    for command in ALL:
        code, message = refused(command, gptkit, capfd)
        assert code == 3
        assert f"{name}: not a regular file" in message or "was set aside" in message


def test_a_checkpoint_that_is_a_link(checkpoint, folder, gptkit, capfd):
    checkpoint.rename(folder / "outside")
    checkpoint.symlink_to(folder / "outside")

    for command in ALL:
        code, _ = refused(command, gptkit, capfd)
        assert code == 3
    assert (folder / "outside" / MANIFEST_NAME).is_file()


@pytest.mark.parametrize("name", ["../../../../my.txt", "/etc/hostname", "..", "a/../../b", "C:a"])
def test_names_that_lead_out_of_the_folder(name, checkpoint, gptkit, capfd):
    path = checkpoint / MANIFEST_NAME
    content = json.loads(path.read_bytes())
    del content["sha256"]
    content["files"][name] = {"size": 1, "sha256": "0" * 64}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_bytes((json.dumps(content, sort_keys=True, indent=1) + "\n").encode())

    for command in ALL:
        code, message = refused(command, gptkit, capfd)
        assert code == 3
        assert "is not allowed" in message or "was set aside" in message
