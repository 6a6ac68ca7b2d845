"""Two starts on one run folder: exactly one proceeds, the other is told who holds it."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gptkit.errors import RunInUseError
from gptkit.recipes.journal import Journal
from gptkit.recipes.train.run_folder import claim
from gptkit.runs import hold_run

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("resume", [(), ("--resume", "auto")], ids=["afresh", "resumed"])
@pytest.mark.parametrize("has_begun", [True, False], ids=["begun", "empty"])
def test_a_start_in_a_folder_in_use_names_the_holder(resume, has_begun, project, gptkit):
    run = project / "run"
    run.mkdir()
    if has_begun:
        (run / "config.yaml").touch()

    with hold_run(run, warn=pytest.fail):
        result = gptkit("train", "my.yaml", "--run-dir", "run", *resume)

    assert result.code == 5
    assert result.err.startswith(f"error: 'run' is in use by process {os.getpid()} on ")
    assert result.err.count("\n") == 1


def test_a_folder_in_use_is_found_before_torch_is_imported(project):
    program = "import sys; from gptkit.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    (project / "run").mkdir()

    with hold_run(project / "run", warn=pytest.fail):
        ended = subprocess.run(
            [sys.executable, "-c", program, "train", "my.yaml", "--run-dir", "run"],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert (ended.returncode, ended.stdout) == (5, "False\n")


def test_a_run_that_came_and_went_since_the_check_is_not_written_over(tmp_path):
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    config = SimpleNamespace(run_dir=tmp_path / "run")

    with pytest.raises(RunInUseError, match="quicker"), claim(config, "my", Journal()):
        pass
