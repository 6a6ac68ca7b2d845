"""gptkit compare: from runs to one page and a sentence for each pair of recipes.

runs -> arms (equal settings but for the seed) -> losses on the same text -> intervals -> compare-A-B.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptkit.atomic import write_text
from gptkit.errors import ConfigError
from gptkit.pages import page
from gptkit.recipes.compare import sections
from gptkit.recipes.compare.arms import Arm, differences, group
from gptkit.recipes.compare.findings import Finding, find, one_recipe
from gptkit.recipes.compare.scores import Member, Ruler, score
from gptkit.recipes.journal import say
from gptkit.recipes.load import load_run

_LONGEST_NAME = 120


@dataclass(frozen=True)
class Comparison:
    """Runs side by side."""

    members: list[Member]
    arms: list[Arm]
    differences: dict[str, list[Any]]
    """Settings that are not the same in all runs: the value of each run."""
    ruler: Ruler | None
    """None where the runs were scored on different text."""
    findings: list[Finding]
    summary: tuple[str, ...]
    """What follows, in sentences."""


def run(
    paths: Sequence[Path], *, as_json: bool, checkpoint: str | None, allow_plugins: bool
) -> None:
    """Compare runs, write a page beside the first of them, and print what was found.

    Raises: ConfigError, DataError, CheckpointError.
    """
    if len(paths) < 2:
        raise ConfigError("give two runs or more to compare: gptkit compare RUN RUN...")
    names = _names(paths)
    members = []
    for path, name in zip(paths, names, strict=True):
        # bfloat16 would be faster, and differ between machines in the fourth digit.
        loaded = load_run(
            path, checkpoint=checkpoint, dtype="float32", allow_plugins=allow_plugins, say=say
        )
        say(f"{loaded.run_dir}, step {loaded.step}")
        members.append(score(name, loaded))
    found = compare(members)
    target = _target(members)
    try:
        write_text(target, html(found))
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from None
    if as_json:
        print(json.dumps({"page": str(target), **to_json(found)}, ensure_ascii=False))
    else:
        print("\n".join([*_lines(found), str(target)]))


def compare(members: list[Member]) -> Comparison:
    """Return what there is to say about runs that were scored."""
    settings = [member.settings for member in members]
    arms = group([member.name for member in members], settings)
    ruler = Ruler.of(members)
    findings: list[Finding] = []
    if ruler is None:
        summary: tuple[str, ...] = (
            "these runs were scored on different text: their losses say nothing about each other",
        )
    elif len(arms) == 1:
        summary = (one_recipe(arms[0], members, ruler),)
    else:
        findings = find(arms, members, ruler)
        summary = tuple(finding.sentence for finding in findings)
    return Comparison(members, arms, differences(settings), ruler, findings, summary)


def html(found: Comparison) -> str:
    """Return the whole page."""
    title = " / ".join(member.name for member in found.members[:4])
    return page(
        f"{title}: gptkit compare",
        *sections.header(found.members, found.summary),
        sections.runs(found.members, found.arms, found.ruler),
        sections.intervals(found.findings, found.ruler),
        sections.settings(found.members, found.differences),
        sections.curves(found.members, found.arms),
    )


def to_json(found: Comparison) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "summary": list(found.summary),
        "unit": found.ruler.unit if found.ruler else None,
        "runs": [
            {
                "run": str(member.path),
                "step": member.step,
                "seed": member.seed,
                "arm": next(i for i, arm in enumerate(found.arms) if index in arm.members),
                "loss": member.loss,
                "bits_per_byte": member.bits_per_byte,
            }
            for index, member in enumerate(found.members)
        ],
        "findings": [
            {
                "arm": finding.arm.name,
                "reference": finding.reference.name,
                "difference": finding.interval.difference,
                "margin": finding.interval.margin,
                "confidence": finding.confidence,
                "about_recipes": finding.about_recipes,
                "winner": finding.winner,
                "seeds_needed": finding.seeds_needed,
                "sentence": finding.sentence,
            }
            for finding in found.findings
        ],
        "settings": found.differences,
    }


def _names(paths: Sequence[Path]) -> list[str]:
    """Return short names of runs that tell them apart."""
    names = [path.absolute().name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{path.absolute().parent.name}/{path.absolute().name}" for path in paths]


def _target(members: Sequence[Member]) -> Path:
    names = [member.name.replace("/", "-") for member in members]
    more = [f"{len(names) - 3}-more"] if len(names) > 3 else []
    name = "-".join(["compare", *names[:3], *more])[:_LONGEST_NAME]
    return members[0].path.absolute().parent / f"{name}.html"


def _lines(found: Comparison) -> list[str]:
    """Return the comparison for a terminal."""
    width = max(len(member.name) for member in found.members)
    lines = [f"{'run':<{width}}  recipe  {'seed':>6}  {'step':>8}  nats/token  bits/byte"]
    for index, member in enumerate(found.members):
        arm = next(i for i, arm in enumerate(found.arms) if index in arm.members)
        bits = "" if member.bits_per_byte is None else f"{member.bits_per_byte:.4f}"
        lines.append(
            f"{member.name:<{width}}  {arm + 1:>6}  {member.seed:>6}  {member.step:>8,}"
            f"  {member.loss:>10.4f}  {bits:>9}"
        )
    lines.append("")
    for key, values in found.differences.items():
        shown = " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        lines.append(f"{key}: {shown}")
    return [*lines, "", *found.summary]
