"""Shipped configs with random mistakes in them, checked with --dry-run."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from faults.bench import Bench, Row
from faults.project import TEXT, some_text
from faults.trial import Command, Seen, Trial, TrialFunction, last_line, require

_CONFIGS = Path(__file__).resolve().parents[2] / "configs"
_MOST_SECONDS = 2.0
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 64, 1 << 31, 1 << 63, 10**40, 0.5, 1e-3, 1e308, -1e308,
    float("nan"), float("inf"), "", " ", "x", "x" * 5000, "1e-3", "no", "null", "0x10", "\0", "\u202e", "中文",
    "missing.txt", "..", [], [1, 2], ["a", None], {}, {"name": "x"}, {"name": None}, {"name": "adamw"}, {1: 2},
    {"name": "cosine"}, {"name": "learned"}, [[[[]]]], "90s", "-5m", "float16", "cuda", "gpt2", "rollback",
)  # fmt: skip
_KEYS = (
    "run_dir", "data.source", "data.source.name", "data.source.paths", "data.tokenizer", "data.tokenizer.name",
    "data.val_fraction", "data.tokenizer.vocab_size", "data.test_fraction", "data.documents", "model.n_layer",
    "model.n_head", "model.n_embd", "model.preset", "model.context_length", "model.dropout", "model.attention",
    "model.positions", "model.mlp", "model.norm", "model.init_from", "model", "optimizer", "optimizer.name",
    "optimizer.betas", "optimizer.learning_rate", "schedule", "schedule.warmup", "schedule.decay",
    "training.max_steps", "training.max_tokens", "training.batch_size", "training.micro_batch_size",
    "training.grad_clip", "training.seed", "training.patience", "training.time_budget", "training.on_divergence",
    "runtime.device", "runtime.dtype", "runtime.compile", "loggers", "plugins", "nothing", "training.nothing",
)  # fmt: skip


def _places(config: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a config."""
    if not isinstance(config, dict):
        return [path]
    below = [place for key, value in config.items() for place in _places(value, (*path, key))]
    return ([path] if path else []) + below


def _structured(text: str, rng: Random) -> str:
    """Set, remove, add or rename some keys."""
    config = yaml.safe_load(text)
    for _ in range(rng.randint(1, 3)):
        places = _places(config)
        if not places:
            break
        *parents, key = rng.choice(places)
        below = config
        for parent in parents:
            below = below[parent]
        kind = rng.randrange(5)
        if kind <= 1:
            below[key] = rng.choice(_VALUES)
        elif kind == 2:
            del below[key]
        elif kind == 3:
            below[rng.choice(["x", "name", "seed", None, 5, str(key).upper()])] = rng.choice(
                _VALUES
            )
        else:
            name = str(key)
            place = rng.randrange(len(name))
            below[name[:place] + rng.choice(string.ascii_letters) + name[place + 1 :]] = below.pop(
                key
            )
    return str(yaml.safe_dump(config, allow_unicode=True))


def _text(text: str, rng: Random) -> str:
    """Remove, repeat, indent or cut lines; put other characters in."""
    lines = text.splitlines(keepends=True)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, rng.choice(lines))
        elif kind == 2:
            lines[place] = " " * rng.randint(1, 5) + lines[place]
        elif kind == 3:
            lines[place] = lines[place][: rng.randrange(len(lines[place]) + 1)]
        else:
            line, at = lines[place], rng.randrange(len(lines[place]) + 1)
            extra = rng.choice(
                [*"{}[]:,&*!|>'\"%@`#?-\t\0\ufeff", "- ", ": ", "<<: ", "é", "\u2028"]
            )
            lines[place] = line[:at] + extra + line[at + (kind == 5) :]
    return "".join(lines)


def _bytes(text: str, rng: Random) -> bytes:
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def _settings(rng: Random) -> list[str]:
    """Return some --set arguments."""
    arguments = []
    for _ in range(rng.randint(1, 3)):
        value = yaml.safe_dump(rng.choice(_VALUES), default_flow_style=True, width=10**6)
        key = rng.choice(_KEYS)
        arguments += ["--set", f"{key}={value.removesuffix('...' + chr(10)).strip()}"]
    return [argument.replace("\0", "") for argument in arguments]  # no shell can pass one


_TEXT_KINDS: tuple[Callable[[str, Random], str], ...] = (_structured, _structured, _text)


def _prepare(bench: Bench, shared: Trial) -> TrialFunction:
    shipped = [path.read_text(encoding="utf-8") for path in sorted(_CONFIGS.glob("*.yaml"))]
    sentences = some_text(20_000)

    def run(trial: Trial) -> Seen:
        rng = trial.rng
        (trial.folder / TEXT).write_text(sentences, encoding="utf-8")
        text = rng.choice(shipped)
        content = rng.choice(_TEXT_KINDS)(text, rng).encode()
        if rng.random() < 0.1:
            content = _bytes(text, rng)
        path = trial.folder / "config.yaml"
        path.write_bytes(content)
        settings = _settings(rng) if rng.random() < 0.3 else []
        command = _checked(trial, settings)
        # What else the machine does may hold one up; it is slow when it is slow twice.
        if command.seconds > _MOST_SECONDS:
            command = min(command, _checked(trial, settings), key=lambda c: c.seconds)
        seconds = command.seconds
        require(seconds <= _MOST_SECONDS, f"it took {seconds:.1f} s")
        return Seen(1, {"s for a check": seconds})

    return run


def _checked(trial: Trial, settings: list[str]) -> Command:
    command = trial.start("train", "config.yaml", "--dry-run", *settings)
    code = command.wait()
    require("Traceback" not in command.message, f"a traceback: {last_line(command.message)}")
    require(code in (0, 2), f"exit code {code}: {last_line(command.message)}")
    require(code == 0 or bool(command.message.strip()), "refused without a word")
    expected = {TEXT, "config.yaml"}
    written = {path.name for path in trial.folder.iterdir() if not path.name.startswith("command_")}
    require(written == expected, f"it wrote {sorted(written - expected)}")
    return command


ROWS = (
    Row(
        "dry_run",
        "shipped configs with random mistakes, checked with --dry-run: exit code 0 or 2, no traceback, under 2 s,"
        " nothing written",
        trials=5000,
        short=30,
        prepare=_prepare,
        cold_every=250,
        light=True,
    ),
)
