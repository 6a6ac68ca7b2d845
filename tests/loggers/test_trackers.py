"""Trackers get every metric, go on after a resume, and never end a run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.loggers import LoggerGroup, Metrics, TrackedRun
from gptkit.loggers.config import LOGGERS, TensorBoardConfig, check_installed
from gptkit.section import Section

TRACKERS = ["wandb", "trackio"]


class FakeRun:
    """Records what a tracker's run is told."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.finished = False

    def log(self, metrics: dict[str, Any], step: int) -> None:
        self.logged.append((metrics, step))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[FakeRun]:
    """Stand in for the package `request.param`; the list fills with the runs it opened."""
    opened: list[FakeRun] = []

    def init(**settings: Any) -> FakeRun:
        print("a greeting")
        opened.append(FakeRun(settings))
        return opened[-1]

    module = ModuleType(request.param)
    module.init = init  # type: ignore[attr-defined]
    module.finish = lambda: opened[-1].finish()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.param, module)
    return opened


def section(name: str) -> Section:
    return LOGGERS.validate({"name": name})


@pytest.mark.parametrize(("fake", "name"), [(name, name) for name in TRACKERS], indirect=["fake"])
def test_a_tracker_gets_settings_metrics_and_an_end(
    fake: list[FakeRun], name: str, tmp_path: Path
) -> None:
    logger = LOGGERS.build(section(name), TrackedRun(tmp_path / "mine", settings={"seed": 1}))
    logger.log({"train_loss": 2.5}, 3)
    logger.close()

    (run,) = fake
    assert run.settings["project"] == "gptkit"
    assert run.settings["config"] == {"seed": 1}
    assert run.settings["name"].startswith("mine")
    assert run.logged == [({"train_loss": 2.5}, 3)]
    assert run.finished


@pytest.mark.parametrize(("fake", "name"), [(name, name) for name in TRACKERS], indirect=["fake"])
def test_a_resumed_run_goes_on_under_its_id_and_another_run_has_another(
    fake: list[FakeRun], name: str, tmp_path: Path
) -> None:
    for folder in ("a/mine", "a/mine", "b/mine"):
        LOGGERS.build(section(name), TrackedRun(tmp_path / folder))

    first, again, other = ({**run.settings, "dir": None} for run in fake)
    assert first == again
    assert first["resume"] == "allow"
    assert first != other


@pytest.mark.parametrize("fake", ["trackio"], indirect=True)
def test_what_trackio_prints_does_not_reach_stdout(
    fake: list[FakeRun], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LOGGERS.build(section("trackio"), TrackedRun(tmp_path)).close()

    assert len(fake) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_tracker_that_is_not_installed_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(ConfigError, match=rf"pip install gptkit\[{name}\]"):
        LOGGERS.build(section(name), TrackedRun(tmp_path))
    with pytest.raises(ConfigError, match=rf"pip install gptkit\[{name}\]"):
        check_installed(section(name))


def test_a_mere_folder_of_a_trackers_name_is_not_the_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)

    with pytest.raises(ConfigError, match="'wandb' is not installed"):
        check_installed(section("wandb"))
    with pytest.raises(ConfigError, match="'wandb' is not installed"):
        LOGGERS.build(section("wandb"), TrackedRun(tmp_path))


class FakeWriter:
    """Stands in for torch's SummaryWriter."""

    opened: list[FakeWriter]

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.closed = False
        FakeWriter.opened.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("step", "purge_step"), [(0, None), (20, 20)])
def test_tensorboard_gets_scalars_and_forgets_what_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, purge_step: int | None
) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    FakeWriter.opened = []
    logger = LOGGERS.build(TensorBoardConfig(), TrackedRun(tmp_path, step=step))
    logger.log({"train_loss": 2.5, "grad_norm": 1.0}, 21)
    logger.close()

    (writer,) = FakeWriter.opened
    assert writer.folder == str(tmp_path / "tensorboard")
    assert writer.purge_step == purge_step
    assert writer.scalars == [("train_loss", 2.5, 21), ("grad_norm", 1.0, 21)]
    assert writer.closed


class Recorder:
    """A logger that works, or fails as told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.steps: list[int] = []
        self.closed = False

    def log(self, metrics: Metrics, step: int) -> None:
        if self.fails:
            raise ConnectionError("no network")
        self.steps.append(step)

    def close(self) -> None:
        self.closed = True


def test_a_failing_logger_is_dropped_with_one_warning_and_the_others_go_on() -> None:
    good, bad = Recorder(), Recorder(fails=True)
    warnings: list[str] = []
    group = LoggerGroup([bad, good], warn=warnings.append)
    group.log({}, 1)
    group.log({}, 2)
    group.close()

    assert warnings == ["Recorder failed: ConnectionError: no network; the run goes on without it"]
    assert good.steps == [1, 2]
    assert good.closed


def test_a_warning_that_cannot_be_shown_ends_no_run() -> None:
    def closed(text: str) -> None:
        raise OSError(5, "Input/output error")

    LoggerGroup([Recorder(fails=True)], warn=closed).log({}, 1)
