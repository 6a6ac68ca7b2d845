"""The parts of a comparison as HTML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gptkit.loggers.metrics import Row
from gptkit.pages import Chart, Html, Series, chart, element, table
from gptkit.pages.page import section
from gptkit.recipes.compare.arms import Arm
from gptkit.recipes.compare.findings import Finding
from gptkit.recipes.compare.scores import Member, Ruler

_AXES = (("step", "step"), ("tokens", "tokens learned from"), ("elapsed_seconds", "seconds"))


def header(members: Sequence[Member], summary: Sequence[str]) -> Iterator[Html]:
    """Yield what is compared, and what follows."""
    yield element("h1", " / ".join(member.name for member in members[:6]))
    yield element("p", f"gptkit compare of {len(members)} runs", class_="soft")
    for sentence in summary:
        yield element(
            "div", element("p", f"{sentence[0].upper()}{sentence[1:]}."), class_="verdict"
        )


def runs(members: Sequence[Member], arms: Sequence[Arm], ruler: Ruler | None) -> Html:
    """Return each run's loss on the whole validation split, recipe by recipe."""
    rows = []
    for number, arm in enumerate(arms, start=1):
        for index in arm.members:
            member = members[index]
            bits = member.bits_per_byte
            rows.append(
                (
                    member.name,
                    number,
                    member.seed,
                    f"{member.step:,}",
                    f"{member.loss:.4f}",
                    "" if bits is None else f"{bits:.4f}",
                )
            )
    note = "Runs whose settings are equal but for the seed are one recipe."
    if ruler is not None and not ruler.per_token:
        note += " The tokenizers differ, so bits per byte are compared: nats per token mean other things."
    return section(
        "Runs",
        element("p", note),
        table(("run", "recipe", "seed", "step", "nats per token", "bits per byte"), rows),
    )


def intervals(findings: Sequence[Finding], ruler: Ruler | None) -> Html | None:
    """Return the differences with their intervals."""
    if not findings or ruler is None:
        return None
    rows = [
        (
            finding.arm.name,
            finding.reference.name,
            f"{finding.interval.difference:+.5f}",
            f"{finding.interval.margin:.5f}",
            f"{finding.confidence:.1%}",
            "recipes" if finding.about_recipes else "these checkpoints",
        )
        for finding in findings
    ]
    return section(
        "Differences",
        element(
            "p",
            "Paired on the same text; below 0 the first is better. A difference within its margin may be"
            " chance. Of two checkpoints only the text is a sample; of two recipes the seeds are one too.",
        ),
        table(("recipe", "against", ruler.unit, "+-", "confidence", "holds for"), rows, words=2),
    )


def settings(members: Sequence[Member], differences: Mapping[str, Sequence[Any]]) -> Html:
    """Return the settings that differ."""
    if not differences:
        return section("Settings", element("p", "All settings are equal."))
    rows = [
        (key, *(json.dumps(value, ensure_ascii=False) for value in values))
        for key, values in differences.items()
    ]
    return section(
        "Settings that differ", table(("setting", *(member.name for member in members)), rows)
    )


def curves(members: Sequence[Member], arms: Sequence[Arm]) -> Html:
    """Return the validation losses over steps, tokens and time, a color for each recipe."""
    return section(
        "Validation loss, nats per token",
        *(
            chart(
                Chart(
                    f"by {label}",
                    label,
                    [
                        _curve(members[index], axis, color)
                        for color, arm in enumerate(arms)
                        for index in arm.members
                    ],
                    note="drag to zoom, double-click to go back" if axis == "step" else "",
                )
            )
            for axis, label in _AXES
        ),
    )


def _curve(member: Member, axis: str, color: int) -> Series:
    points = np.array(list(_points(member.rows, axis)), np.float64).reshape(-1, 2)
    return Series(member.name, points[:, 0], points[:, 1], color, "marked")


def _points(rows: Sequence[Row], axis: str) -> Iterator[tuple[float, float]]:
    for row in rows:
        x, y = row.get(axis), row.get("val_loss")
        if x is not None and y is not None:
            yield x, y
