"""What must hold of a run folder after a fault; judged without the program's own code."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.trial import BrokenError, require

BYTE_EQUAL = ("model.safetensors", "optimizer.safetensors", "state.json")
# A save may be due, and its thread not have got the interpreter yet.
_STEPS_UNTIL_WRITING = 2
_STEP = re.compile(r"step_(\d{8})")
# These tell of the clock; every other column must be the same number again.
_OF_THE_CLOCK = re.compile(r".*(second|mfu|elapsed|time|wait|memory).*")


def is_whole(checkpoint: Path) -> bool:
    """Whether every file that MANIFEST.json names is there with its sha256, and no other."""
    try:
        manifest = json.loads((checkpoint / "MANIFEST.json").read_bytes())
        files = manifest["files"]
        if not checkpoint.name.startswith(f"step_{manifest['step']:08d}"):
            return False
        present = {
            path.relative_to(checkpoint).as_posix()
            for path in checkpoint.rglob("*")
            if path.is_file() and path.name != "MANIFEST.json"
        }
        return present == set(files) and all(
            hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == facts["sha256"]
            for name, facts in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def whole_steps(run: Path) -> list[int]:
    """Return the steps of the whole checkpoints of a run, in order."""
    found = []
    for folder in (run / "checkpoints").glob("step_*"):
        # A replaced folder is one too: resuming gives it its name back.
        match = _STEP.match(folder.name.replace(".replaced-", "\0").partition("\0")[0])
        if match and "." not in folder.name.partition(".replaced-")[0] and is_whole(folder):
            found.append(int(match[1]))
    return sorted(set(found))


def rows(run: Path, *, torn_end: bool = False) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl; torn_end: the last may be half, the process was killed.

    Raises: BrokenError when a line is no JSON object.
    """
    path = run / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    elif torn_end:
        lines = lines[:-1]
    try:
        return [dict(json.loads(line)) for line in lines]
    except ValueError as error:
        raise BrokenError(f"{path}: a line is no JSON: {error}") from None


def last_logged(run: Path) -> int:
    """Return the step of the last line of metrics, 0 where there is none."""
    found = rows(run, torn_end=True)
    return int(found[-1]["step"]) if found else 0


def lost_steps(run: Path, save_every: int) -> int:
    """Return how many logged steps are after the newest whole checkpoint of a run that was killed.

    Raises: BrokenError when they are more than a save interval, and the save that would make them
    fewer was not being written.
    """
    logged, newest = last_logged(run), max(whole_steps(run), default=0)
    due = logged - logged % save_every
    in_flight = any((run / "checkpoints").glob(f"*step_{due:08d}*"))
    begun = in_flight or logged - due <= _STEPS_UNTIL_WRITING
    allowed = due - save_every if begun else due
    require(
        newest >= allowed, f"{logged - newest} steps lost: step {logged} logged, {newest} saved"
    )
    return max(0, logged - newest)


def each_step_once(run: Path, max_steps: int) -> None:
    """Require one line for each step, in order."""
    steps = [int(row["step"]) for row in rows(run)]
    if steps != list(range(1, max_steps + 1)):
        twice = sorted({step for step in steps if steps.count(step) > 1})
        missing = sorted(set(range(1, max_steps + 1)) - set(steps))
        raise BrokenError(f"metrics.jsonl: steps {twice} twice, {missing} missing, of {len(steps)}")


def same_metrics(run: Path, reference: Path) -> None:
    """Require that all figures but those of the clock are those of the reference, digit for digit."""
    for ours, theirs in zip(_figures(run), _figures(reference), strict=True):
        require(ours == theirs, f"metrics.jsonl: {ours} instead of {theirs}")


def _figures(run: Path) -> Iterator[dict[str, Any]]:
    for row in rows(run):
        yield {key: value for key, value in row.items() if not _OF_THE_CLOCK.fullmatch(key)}


def same_end(run: Path, reference: Path, max_steps: int, *, metrics: bool = True) -> None:
    """Require that a run ended as the reference did, byte for byte, and that nothing is left over.

    metrics: False where the disk was too full to take every line.
    """
    last = f"checkpoints/step_{max_steps:08d}"
    require(is_whole(run / last), f"{last} is not whole")
    for name in BYTE_EQUAL:
        ours, theirs = ((place / last / name).read_bytes() for place in (run, reference))
        require(ours == theirs, f"{last}/{name} is not that of the undisturbed run")
    require(
        (run / "checkpoints/last").read_bytes() == (reference / "checkpoints/last").read_bytes(),
        "checkpoints/last names another step",
    )
    left = [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]
    require(not left, f"left in checkpoints/: {left}")
    if metrics:
        each_step_once(run, max_steps)
        same_metrics(run, reference)


def all_weights_finite(folder: Path) -> None:
    """Require that no tensor file below a folder holds a number that is not finite."""
    for path in sorted(folder.rglob("*.safetensors")):
        raw = path.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + length])
        for name, facts in header.items():
            if name == "__metadata__" or facts["dtype"] != "F32":
                continue
            begin, end = (8 + length + offset for offset in facts["data_offsets"])
            values = struct.unpack(f"<{(end - begin) // 4}f", raw[begin:end])
            require(all(map(math.isfinite, values)), f"{path}: {name} is not finite")
