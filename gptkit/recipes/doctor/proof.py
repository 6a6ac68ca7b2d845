"""gptkit doctor RUN: does this run resume exactly, on this machine?

    newest checkpoint ─┬─ copy `whole`   trains N steps ───────────────────────────┬─ equal bytes?
                       └─ copy `killed`  trains N steps, killed K times, resumed ──┘

Both are trained as a user trains, by processes of their own. The run itself is only read.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gptkit.checkpoint import require_space, step_name, verify
from gptkit.checkpoint.manifest import ManifestError, read_manifest
from gptkit.checkpoint.names import checkpoints_folder
from gptkit.checkpoint.store import CONFIG_NAME, load_state, plugin_files
from gptkit.config import RunConfig, dump_config
from gptkit.errors import CheckpointError, ConfigError, GptkitError
from gptkit.recipes.doctor.kills import Kill, Trainer, choose_moments, step_seconds
from gptkit.recipes.doctor.verdict import Comparison, compare, likely_reasons
from gptkit.recipes.journal import say
from gptkit.recipes.load import checkpoint_config
from gptkit.runs import is_checkpoint, resolve, run_folder, run_of
from gptkit.runtime.interrupt import Interrupt

# Retention may remove a checkpoint while it is copied; there is a newer one then.
_COPY_TRIES = 3
_SAVES = 5
# Each copy holds three checkpoints at most, and one that is being written.
_ROOM_IN_CHECKPOINTS = 8


@dataclass(frozen=True)
class Plan:
    """What the copies go through."""

    steps: int
    kills: int
    seed: int
    """Decides the moments of the kills."""


@dataclass(frozen=True)
class Proof:
    """What came out."""

    run: str
    step: int
    """Of the checkpoint that both copies started from."""
    steps: int
    kills_wanted: int
    kills: Sequence[Kill]
    """Those that hit."""
    comparisons: Sequence[Comparison]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return all(comparison.equal for comparison in self.comparisons)

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        hits, late = len(self.kills), self.kills_wanted - len(self.kills)
        times = "once" if hits == 1 else f"{hits} times"
        story = f"killed {times} in {self.steps} steps"
        if not self.kills_wanted:
            story = f"trained twice for {self.steps} steps, never killed"
        elif late:
            story += f" ({late} of {self.kills_wanted} kills came after the end)"
        if self.equal:
            return f"{story}: every file equal, byte for byte"
        different = [comparison.name for comparison in self.comparisons if not comparison.equal]
        return f"{story}: not equal: {', '.join(different)}"


def run_proof(path: Path, plan: Plan, *, as_json: bool, allow_plugins: bool) -> None:
    """Train two copies of the newest checkpoint of a run, compare them and print what came out.

    Raises: GptkitError when they differ, or every kill came too late to prove anything; ConfigError
    and CheckpointError where there is nothing to start from; Interrupted when a signal came.
    """
    with Interrupt() as interrupt, folder_beside(path) as folder:
        whole, killed = folder / "whole", folder / "killed"
        checkpoint = copy_newest(path, whole)
        config = checkpoint_config(checkpoint, allow_plugins=allow_plugins)
        step = read_manifest(checkpoint).step
        say(f"{path}, step {step}: training two copies for {plan.steps} steps")
        if load_state(checkpoint).get("world_size", 1) > 1:
            say("the run was trained on several devices; the copies use one")
        shutil.copytree(whole, killed)
        trainer = Trainer(
            _write_config(folder / "config", config, checkpoint, plan),
            folder / "log.txt",
            interrupt,
        )
        trainer.to_the_end(whole)
        say("the first copy is done, without interruption")
        moments = choose_moments(random.Random(plan.seed), step, plan.steps, plan.kills)
        kills = trainer.with_kills(killed, moments, step_seconds(whole), say=say)
        comparisons = compare(whole, killed, step + plan.steps)
    proof = Proof(str(path), step, plan.steps, plan.kills, kills, comparisons)
    _tell(proof, as_json=as_json)
    if not proof.equal:
        raise GptkitError(f"{proof.verdict}\n{likely_reasons(config, plan.kills)}")
    if plan.kills and not kills:
        raise GptkitError("every kill came after the end, which proves nothing; give more --steps")


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Give a folder on the file system of the run, and remove it."""
    run = (run_of(path) or path) if is_checkpoint(path) else run_folder(path)
    run = run.resolve()  # as `.` it would have no parent
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=f".{run.name}-doctor-", dir=run.parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise ConfigError(
            f"'{run.parent}' takes no copy of the run: {error.strerror or error}"
        ) from None
    with folder as name:
        yield Path(name)


def copy_newest(path: Path, run_dir: Path) -> Path:
    """Copy the newest checkpoint of a run, or the one named, into `run_dir`; return the copy.

    Raises: ConfigError, CheckpointError; SaveError when the disk is too full for the proof.
    """
    which = None if is_checkpoint(path) else "last"
    problems: list[str] = []
    for _ in range(_COPY_TRIES):
        source = resolve(path, which, say=say)
        try:
            manifest = read_manifest(source)
            size = sum(facts.size for facts in manifest.files.values())
            require_space(run_dir.parent, _ROOM_IN_CHECKPOINTS * size)
            copy = checkpoints_folder(run_dir) / step_name(manifest.step)
            shutil.copytree(source, copy)
            problems = verify(copy)
        except (OSError, ManifestError) as error:
            problems = [str(error)]
        if not problems:
            return copy
        shutil.rmtree(run_dir, ignore_errors=True)
    raise CheckpointError(f"{source} cannot be copied: {'; '.join(problems[:3])}")


def _write_config(folder: Path, config: RunConfig, checkpoint: Path, plan: Plan) -> Path:
    """Write what the copies are trained with, plugins beside it; return the config's path."""
    folder.mkdir()
    for plugin in plugin_files(checkpoint):
        shutil.copy(plugin, folder)
    training = config.training
    steps = read_manifest(checkpoint).step + plan.steps
    changed = training.model_copy(
        update={
            # The end in tokens: a warmup or decay in steps need not fit into a run this short.
            "max_steps": None,
            "max_tokens": steps * training.batch_size * config.model.context_length,
            "max_epochs": None,
            "time_budget": None,
            "patience": None,
            "log_every": 1,
            "eval_every": steps,
            "save_every": max(1, plan.steps // _SAVES),
            "save_minutes": None,
            "sample_tokens": 0,
        }
    )
    model = config.model.model_copy(update={"init_from": None})
    settings = {"training": changed, "model": model, "loggers": ()}
    path = folder / CONFIG_NAME
    path.write_text(dump_config(config.model_copy(update=settings)), encoding="utf-8")
    return path


def _tell(proof: Proof, *, as_json: bool) -> None:
    if as_json:
        facts = {**asdict(proof), "equal": proof.equal, "verdict": proof.verdict}
        print(json.dumps(facts, ensure_ascii=False))
        return
    width = max(len(comparison.name) for comparison in proof.comparisons)
    for comparison in proof.comparisons:
        print(f"{comparison.name:<{width}}  {comparison.finding}")
    if proof.equal:
        print(proof.verdict)
