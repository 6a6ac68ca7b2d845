"""The short form of scripts/fault_injection.py finds no fault that gptkit does not survive; planted ones it finds."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from faults import laws  # noqa: E402
from faults.bench import Bench, Row, run_row  # noqa: E402
from faults.report import RowResult, table, wilson_upper, write  # noqa: E402
from faults.rows import ROWS  # noqa: E402
from faults.trial import BrokenError, Seen, require  # noqa: E402
from faults.warm import WarmProgram  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="the faults are signals and processes as Linux and macOS have them"
)


# What gptkit survives:


@pytest.fixture(scope="module")
def short_form(tmp_path_factory):
    """The report of the short form, by row."""
    folder = tmp_path_factory.mktemp("short")
    ended = subprocess.run(
        [sys.executable, SCRIPTS / "fault_injection.py", "--short", "--seed", "1", "--out", folder],
        capture_output=True,
        text=True,
    )
    assert ended.returncode in (0, 1), ended.stderr
    report = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in report["rows"]}


@pytest.mark.parametrize("row", [row.name for row in ROWS])
def test_gptkit_survives(row, short_form):
    result = short_form[row]
    if result["not_run"]:
        pytest.skip(result["not_run"])

    failures = [f"{failed['law']}\n{failed['record']}" for failed in result["failures"]]
    assert not failures, "\n".join(failures)
    assert result["trials"] >= 1


# What the harness finds:


@pytest.fixture(scope="module")
def real_program():
    program = WarmProgram()
    yield program
    program.close()


class Planted:
    """The real program, with a defect: `tamper` changes what each command of a trial left."""

    def __init__(self, program, tamper, code=None):
        self.program, self.tamper, self.code = program, tamper, code

    def start(self, order):
        child = self.program.start(order)
        undisturbed = "0000" in order.cwd.parts
        return child if undisturbed else PlantedChild(child, self, order)


class PlantedChild:
    def __init__(self, child, planted, order):
        self.child, self.planted, self.order = child, planted, order
        self.pid, self.send = child.pid, child.send

    def poll(self):
        return self._changed(self.child.poll())

    def wait(self, seconds):
        code = self.child.wait(seconds)
        self.planted.tamper(self.order.cwd)
        return self._changed(code)

    def _changed(self, code):
        return code if code is None or self.planted.code is None else self.planted.code


def failures_of(row, program, tmp_path, tamper=lambda folder: None, code=None, number=1):
    bench = Bench(tmp_path / "work", tmp_path / "failed", seed=1, jobs=1, short=True)
    bench.warm = bench.light = Planted(program, tamper, code)
    row = next(candidate for candidate in ROWS if candidate.name == row)
    return run_row(replace(row, cold_every=0), bench, [number], say=lambda text: None).failures


def drop_a_line(folder):
    """Lose the metrics of a step."""
    path = folder / "run/metrics.jsonl"
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:5] + lines[6:]))


def drop_the_newest_checkpoint(folder):
    found = sorted((folder / "run/checkpoints").glob("step_*"))
    if found:
        shutil.rmtree(found[-1])


def harm_the_canary(folder):
    (folder / "canary").write_text("harm", encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "planted", "words"),
    [
        ("kill", {"tamper": drop_a_line}, "missing"),
        ("save_kill", {"tamper": drop_the_newest_checkpoint}, "steps lost|not whole"),
        ("signal", {"tamper": drop_the_newest_checkpoint}, "steps lost"),
        ("flip", {"code": 0}, "not noticed"),
        ("all_bad", {"code": 0}, "exit code 0, not 3"),
        ("dry_run", {"tamper": lambda folder: (folder / "new").touch()}, "it wrote"),
        ("dry_run", {"code": 1}, "exit code 1"),
        ("hostile", {"tamper": harm_the_canary}, "it ran"),
        ("hostile", {"code": 0}, "ended with 0"),
        ("two_runs", {"code": 0}, "exit codes"),
    ],
)
def test_a_planted_defect_is_found(row, planted, words, real_program, tmp_path):
    failures = failures_of(row, real_program, tmp_path, **planted, number=2)

    assert len(failures) == 1
    assert any(word in failures[0].law for word in words.split("|")), failures[0].law
    assert "$ gptkit" in failures[0].record
    assert Path(failures[0].folder).is_dir()


@pytest.fixture
def run(tmp_path):
    """A run folder of four steps, as the laws see one."""
    folder = tmp_path / "run"
    checkpoint = folder / "checkpoints/step_00000004"
    checkpoint.mkdir(parents=True)
    (checkpoint.parent / "last").write_text("step_00000004\n", encoding="utf-8")
    for name in laws.BYTE_EQUAL:
        (checkpoint / name).write_text(name, encoding="utf-8")
    names = {name: {"sha256": sha256_of(checkpoint / name)} for name in laws.BYTE_EQUAL}
    (checkpoint / "MANIFEST.json").write_text(json.dumps({"step": 4, "files": names}))
    lines = [{"step": step, "train_loss": 1 / step, "elapsed_seconds": 7} for step in range(1, 5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(name, old, new):
    def apply(run):
        path = run / name
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    return apply


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (change("metrics.jsonl", '"step": 2', '"step": 1'), "steps [1] twice, [2] missing"),
        (change("metrics.jsonl", '"train_loss": 0.5', '"train_loss": 0.51'), "instead of"),
        (change("metrics.jsonl", '"elapsed_seconds": 7}\n', '"elaps'), "no JSON"),
        (change("checkpoints/step_00000004/state.json", "state", "State"), "not whole"),
        (change("checkpoints/last", "4", "3"), "another step"),
        (lambda run: (run / "checkpoints/.step_00000004.tmp-1").mkdir(), "left in"),
        (lambda run: (run / "checkpoints/step_00000004/more").touch(), "not whole"),
        (lambda run: shutil.rmtree(run / "checkpoints/step_00000004"), "not whole"),
    ],
)
def test_a_run_that_ended_otherwise_breaks_the_law(planted, words, run, tmp_path):
    reference = shutil.copytree(run, tmp_path / "reference")
    laws.same_end(run, reference, 4)

    planted(run)
    with pytest.raises(BrokenError) as error:
        laws.same_end(run, reference, 4)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("logged", "being_written", "holds"),
    [(6, False, True), (8, False, True), (10, False, True), (11, False, False), (11, True, True), (12, True, False)],
)  # fmt: skip
def test_more_lost_than_a_save_interval_breaks_the_law(logged, being_written, holds, run):
    """Step 4 is saved, a save is due every fourth step and may just be being written."""
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"step": step}) + "\n" for step in range(5, logged + 1))
    if being_written:
        (run / "checkpoints/.step_00000008.tmp-1").mkdir()

    if holds:
        assert laws.lost_steps(run, 4) == logged - 4
    else:
        with pytest.raises(BrokenError):
            laws.lost_steps(run, 4)


def test_a_weight_that_is_not_finite_is_seen(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"a": torch.ones(3)}, tmp_path / "good.safetensors")
    laws.all_weights_finite(tmp_path)

    save_file({"a": torch.tensor([1.0, torch.inf])}, tmp_path / "bad.safetensors")
    with pytest.raises(BrokenError, match=r"bad\.safetensors: a is not finite"):
        laws.all_weights_finite(tmp_path)


# The report:


@pytest.mark.parametrize(
    ("failures", "trials", "bound"),
    [(0, 100, 0.0370), (0, 5000, 0.000768), (1, 10, 0.4042), (10, 10, 1.0), (0, 0, 1.0)],
)
def test_wilsons_bound(failures, trials, bound):
    assert wilson_upper(failures, trials) == pytest.approx(bound, rel=1e-3)


def test_a_trial_that_fails_is_kept_with_what_it_needs_to_be_run_again(tmp_path):
    def trial(trial):
        (trial.folder / "evidence").write_text("here", encoding="utf-8")
        require(trial.number != 2, f"chance {trial.rng.random():.3f}")
        return Seen(3, {"steps lost": trial.number})

    row = Row("made_up", "it holds", 3, 1, lambda bench, shared: trial)
    bench = Bench(tmp_path / "work", tmp_path / "failed", seed=5)

    result = run_row(row, bench, say=lambda text: None)
    again = run_row(row, bench, [2], say=lambda text: None)

    assert (result.trials, result.faults, result.worst) == (3, 7, {"steps lost": 3})
    assert [failed.number for failed in result.failures] == [2]
    assert (Path(result.failures[0].folder) / "evidence").read_text(encoding="utf-8") == "here"
    assert again.failures[0].law == result.failures[0].law
    assert not list((tmp_path / "work").glob("*"))


def test_the_report_holds_every_row(tmp_path):
    facts = {"date": "2026-01-01", "command": "python scripts/fault_injection.py"}
    rows = [RowResult("kill", "it ends", 10, 20, 1.5), RowResult("gpu", "too", not_run="no GPU")]

    write(tmp_path, facts, rows)

    report = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert table(rows) in report
    assert "| kill | 20 | 10 | 0 | 28 % |" in report
    assert "| gpu | not run: no GPU |" in report
    assert (
        json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"][0]["faults"]
        == 20
    )
