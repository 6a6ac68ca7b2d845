"""The report: a table for people, the same as JSON, and everything that went wrong."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class FailedTrial:
    """A trial that broke a law, and where everything about it lies."""

    number: int
    law: str
    """What did not hold."""
    folder: str
    record: str
    """Its commands, exit codes and last words."""


@dataclass
class RowResult:
    """What a row saw."""

    name: str
    law: str
    """What must hold, in words."""
    trials: int = 0
    faults: int = 0
    """Faults injected; a trial may hold several."""
    seconds: float = 0.0
    cold: int = 0
    """Commands that started python anew; the others were forked from a warm process."""
    warm: int = 0
    worst: dict[str, float] = field(default_factory=dict)
    failures: list[FailedTrial] = field(default_factory=list)
    not_run: str = ""
    """Why it was not run."""

    @property
    def upper_bound(self) -> float:
        """Wilson's 95 % upper bound of the rate at which trials fail."""
        return wilson_upper(len(self.failures), self.trials)


def wilson_upper(failures: int, trials: int) -> float:
    """Return the upper end of Wilson's 95 % interval for a rate: 0 of 100 gives 3.7 %."""
    if trials == 0:
        return 1.0
    z2 = _NORMAL_95**2
    rate = failures / trials
    centre = rate + z2 / (2 * trials)
    spread = _NORMAL_95 * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return min(1.0, (centre + spread) / (1 + z2 / trials))


def about(seed: int) -> dict[str, str]:
    """Return when, where, with what and how the rows were run."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}"]
            + [f"{name} {version(name)}" for name in ("gptkit", "torch", "safetensors", "numpy")]
        ),
        "seed": str(seed),
        "command": shlex.join(["python", *sys.argv]),
    }


def write(folder: Path, facts: dict[str, str], results: list[RowResult]) -> None:
    """Write results.md and results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = [
        {**asdict(result), "upper_bound": result.upper_bound} for result in results
    ]
    content = json.dumps({**facts, "rows": rows}, indent=1, ensure_ascii=False) + "\n"
    (folder / "results.json").write_text(content, encoding="utf-8", newline="\n")
    (folder / "results.md").write_text(_markdown(facts, results), encoding="utf-8", newline="\n")


def table(results: list[RowResult]) -> str:
    """Return the table, in Markdown."""
    lines = [
        "| row | faults | trials | failed | failure rate at most (95 %) | worst seen | seconds | started cold / warm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        if result.not_run:
            lines.append(f"| {result.name} | not run: {result.not_run} | | | | | | |")
            continue
        worst = ", ".join(f"{_short(value)} {name}" for name, value in result.worst.items())
        lines.append(
            f"| {result.name} | {result.faults:,} | {result.trials:,} | {len(result.failures)} |"
            f" {_percent(result.upper_bound)} | {worst} | {result.seconds:.0f} |"
            f" {result.cold} / {result.warm} |"
        )
    return "\n".join(lines)


def _markdown(facts: dict[str, str], results: list[RowResult]) -> str:
    head = "\n".join(f"- {name}: {value}" for name, value in facts.items() if name != "command")
    laws = "\n".join(f"- **{result.name}**: {result.law}" for result in results)
    failures = "\n".join(
        f"### {result.name}:{failed.number}\n\n{failed.law}\n\nFolder: {failed.folder}\n\n"
        f"```\n{failed.record}\n```\n"
        for result in results
        for failed in result.failures
    )
    return (
        "# Faults injected into gptkit, and what it made of them\n\n"
        f"{head}\n\n```\n{facts['command']}\n```\n\n{table(results)}\n\n"
        "The rate is Wilson's bound: trials of which none failed do not prove that none can.\n"
        "`--only ROW:NUMBER` with the same seed runs one trial again.\n\n"
        f"## What must hold\n\n{laws}\n" + (f"\n## Failures\n\n{failures}" if failures else "")
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.2g} %" if rate < 0.1 else f"{100 * rate:.0f} %"


def _short(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.2g}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
