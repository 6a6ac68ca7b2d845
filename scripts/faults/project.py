"""The tiny run that the faults disturb: a text that is always the same, and a config for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

RUN = "run"
CONFIG = "my.yaml"
TEXT = "my.txt"

_TRAINING: dict[str, Any] = {
    "max_steps": 60,
    "batch_size": 4,
    "micro_batch_size": 2,
    "log_every": 1,
    "eval_every": 20,
    "save_every": 4,
    "sample_tokens": 0,
}
_MODEL: dict[str, Any] = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 32,
    "context_length": 32,
    "dropout": 0.1,
}


@dataclass(frozen=True)
class Project:
    """What a user brings: a text and a config."""

    num_bytes: int = 20_000
    """Size of the text; two million make preparation take a second."""
    text: str | None = None
    """In place of the generated one."""
    data: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    """Other parts of the config; they replace what is here by default."""

    @property
    def max_steps(self) -> int:
        """The step at which the run ends."""
        return int({**_TRAINING, **self.training}["max_steps"])

    @property
    def save_every(self) -> int:
        """Steps between checkpoints."""
        return int({**_TRAINING, **self.training}["save_every"])

    def config(self) -> dict[str, Any]:
        """Return the settings; JSON is YAML."""
        return {
            "data": {
                "source": {"name": "text", "paths": [TEXT]},
                "tokenizer": {"name": "char"},
                "val_fraction": 0.05,
                **self.data,
            },
            "model": _MODEL,
            "optimizer": {"learning_rate": 1e-2},
            "training": {**_TRAINING, **self.training},
            "runtime": {"device": "cpu", "dtype": "float32", "compile": False},
            **self.sections,
        }

    def write(self, folder: Path) -> None:
        """Put text and config into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        text = self.text if self.text is not None else some_text(self.num_bytes)
        (folder / TEXT).write_text(text, encoding="utf-8", newline="\n")
        (folder / CONFIG).write_text(json.dumps(self.config(), indent=1), encoding="utf-8")

    def train(self, *more: str) -> tuple[str, ...]:
        """Return the command that starts the run, or goes on with it."""
        return ("train", CONFIG, "--run-dir", RUN, "--resume", "auto", *more)


@lru_cache
def some_text(num_bytes: int) -> str:
    """Return made-up sentences, always the same ones, of about this size."""
    rng = Random(11)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(300)]
    lines: list[str] = []
    size = 0
    while size < num_bytes:
        lines.append(" ".join(rng.choices(words, k=rng.randint(4, 14))) + ".\n")
        size += len(lines[-1])
    return "".join(lines)
