"""Whole runs of gptkit and nanoGPT, timed from the start of the process, and the loss of what they saved."""

from __future__ import annotations

import contextlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import gptkit
from common.nanogpt import model_code
from common.turns import child_environment
from gptkit.data.batches import IGNORE_INDEX, EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.loggers.metrics import METRICS_NAME, read_metrics
from gptkit.tokenizers.char import CharTokenizer

CPU_RECIPE: dict[str, Any] = {
    "device": "cpu",
    "compile": False,
    "eval_iters": 20,
    "log_interval": 500,
    "block_size": 64,
    "batch_size": 12,
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
    "max_iters": 2000,
    "lr_decay_iters": 2000,
    "dropout": 0.0,
}
"""What nanoGPT's README sets for a CPU, on top of config/train_shakespeare_char.py."""
_CHARACTERS = "data/shakespeare_char"  # nanoGPT's folder for any text by characters
_EVALUATED = re.compile(r"step (\d+)\b.*\bval loss ([\d.]+)")  # a line of either program


Settings = Mapping[str, object]
"""By dotted key, as with --set."""


@dataclass(frozen=True)
class Ran:
    """A process that has ended well."""

    seconds: float
    """Of the whole process."""
    saved: float
    """Seconds from its start until its last checkpoint was on the disk."""
    lines: Sequence[tuple[float, str]]
    """What it printed, each line with the second at which it came."""


class NanoGPT:
    """A copy of a checkout of nanoGPT with a text of its own, by characters."""

    def __init__(self, checkout: Path, folder: Path, text: Path) -> None:
        """folder: where the copy goes; text: a file, whose last tenth is held out."""
        self.folder = copy_checkout(checkout, folder)
        shutil.copyfile(text, self.folder / _CHARACTERS / "input.txt")
        run([sys.executable, f"{_CHARACTERS}/prepare.py"], self.folder)

    def train(self, **options: object) -> Ran:
        """Run train.py to its end; options: as on its command line."""
        return run_nanogpt(
            self.folder,
            "config/train_shakespeare_char.py",
            saved=lambda: [self._checkpoint],
            **options,
        )

    def loss(self, text: str, context_length: int) -> float:
        """Return the loss of what it saved on the full validation split of `text`."""
        module = model_code(self.folder)
        state = torch.load(self._checkpoint, map_location="cpu")
        with contextlib.redirect_stdout(sys.stderr):  # it says how large it is
            model = module.GPT(module.GPTConfig(**state["model_args"]))
        model.load_state_dict(state["model"])
        model.eval()
        # Given targets, it returns the logits of all positions.
        return full_split_loss(lambda tokens: model(tokens, tokens)[0], text, context_length)

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "out-shakespeare-char/ckpt.pt"


class Gptkit:
    """gptkit with a config, on a text that it has prepared."""

    def __init__(
        self, config: str, folder: Path, text: Path, settings: Settings | None = None
    ) -> None:
        """folder: where runs go; text: a file, whose last tenth is held out; settings: of all runs."""
        self._folder = folder
        source = {"data.source": f"{{name: text, paths: ['{text.resolve()}']}}"}
        self._command = [config, *_as_words(source | dict(settings or {}))]
        run([sys.executable, "-m", "gptkit", "prepare", *self._command], folder)

    def train(self, run_dir: str, settings: Settings) -> Ran:
        """Run `gptkit train` to its end; settings: as with --set."""
        command = [sys.executable, "-m", "gptkit", "train", *self._command, "--run-dir", run_dir]
        command += _as_words(settings)
        manifests = f"{run_dir}/checkpoints/*/MANIFEST.json"
        return run(command, self._folder, saved=lambda: self._folder.glob(manifests))

    def loss(self, run_dir: str, text: str) -> float:
        """Return the loss of a run's last checkpoint on the full validation split of `text`."""
        loaded = gptkit.load(
            self._folder / run_dir, checkpoint="last", device="cpu", dtype="float32"
        )
        context_length = loaded.config.model.context_length
        return full_split_loss(loaded.model, text, context_length)

    def metrics(self, run_dir: str) -> list[dict[str, Any]]:
        """Return the rows of a run's metrics.jsonl."""
        return list(read_metrics(self._folder / run_dir / METRICS_NAME))


def copy_checkout(checkout: Path, folder: Path) -> Path:
    """Copy nanoGPT without what it has made."""
    made = shutil.ignore_patterns("out*", ".git", "*.bin", "input.txt", "meta.pkl")
    return shutil.copytree(checkout, folder, ignore=made)


def run_nanogpt(
    folder: Path,
    *configs: str,
    saved: Callable[[], Iterable[Path]] = lambda: (),
    **options: object,
) -> Ran:
    """Run train.py of a copy to its end; options: as on its command line."""
    words = [f"--{name}={value}" for name, value in options.items()]
    return run([sys.executable, "train.py", *configs, *words], folder, saved=saved)


def run(
    command: Sequence[str],
    folder: Path,
    *,
    saved: Callable[[], Iterable[Path]] = lambda: (),
) -> Ran:
    """Run a command to its end, with an empty cache for compiled code.

    saved: returns the files that its checkpoints end with. Ends the benchmark if the command fails.
    """
    with tempfile.TemporaryDirectory() as cache:
        environment = child_environment(
            TORCHINDUCTOR_CACHE_DIR=cache,
            TRITON_CACHE_DIR=f"{cache}/triton",
            GPTKIT_DATA=str(folder / "prepared"),
            PYTHONUNBUFFERED="1",
            PYTHONUTF8="1",
        )
        lines = []
        clock, start = time.time(), time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append((time.perf_counter() - start, line.rstrip()))
        seconds = time.perf_counter() - start
    if process.returncode:
        words = "\n".join(line for _, line in lines[-30:])
        sys.exit(f"exit code {process.returncode} of {' '.join(command)}:\n{words}")
    ends = [path.stat().st_mtime - clock for path in saved()]
    return Ran(seconds, max(ends, default=seconds), lines)


def _as_words(settings: Settings) -> list[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def full_split_loss(logits: Callable[[Tensor], Tensor], text: str, context_length: int) -> float:
    """Return the loss on the last tenth of `text`, in nats per character.

    Disjoint windows, each from an empty context; every character but the first is scored once.
    logits: (B, T) -> (B, T, V), where characters are numbered as they are sorted.
    """
    ids = CharTokenizer("".join(sorted(set(text)))).encode_array(text[int(len(text) * 0.9) :])
    windows = EvaluationWindows(InMemoryTokens(ids, np.array([0])), context_length)
    nats, count = 0.0, 0
    with torch.inference_mode():
        for batch in windows:
            scored = batch.targets != IGNORE_INDEX
            found = logits(batch.tokens)[scored]
            nats += float(F.cross_entropy(found, batch.targets[scored], reduction="sum"))
            count += int(scored.sum())
    return nats / count


def evaluations(ran: Ran) -> list[tuple[int, float, float]]:
    """Return step, second and validation loss of each evaluation that a run printed."""
    found = ((second, _EVALUATED.match(line)) for second, line in ran.lines)
    return [(int(m[1]), second, float(m[2])) for second, m in found if m]


def crossing_step(ran: Ran, target: float) -> int | None:
    """Return the first step at which the validation loss was at most `target`; None: at none."""
    return next((step for step, _, loss in evaluations(ran) if loss <= target), None)


def second_of_step(ran: Ran, step: int) -> float:
    """Return about when a run was at a step, between the evaluations around it."""
    steps, seconds, _ = zip(*evaluations(ran), strict=True)
    return float(np.interp(step, steps, seconds))


def spread(values: Sequence[float]) -> str:
    """Return median, least and most of some seconds."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}, {max(values):.1f})"
