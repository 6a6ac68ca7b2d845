"""What a comparison found, in numbers and in one sentence for each pair of recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gptkit.insight.intervals import (
    Interval,
    between_checkpoints,
    between_recipes,
    seeds_to_show,
)
from gptkit.recipes.compare.arms import Arm
from gptkit.recipes.compare.scores import Member, Ruler

ENOUGH_SEEDS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Finding:
    """One recipe against the first."""

    arm: Arm
    reference: Arm
    interval: Interval
    """Loss of the arm less that of the reference: negative is better."""
    about_recipes: bool
    """False: only these checkpoints were compared, for there are too few seeds."""
    confidence: float
    sentence: str
    seeds_needed: int | None = None
    """On each side, to show a difference as large as this one in 4 of 5 tries; None where it is shown, or not known."""

    @property
    def winner(self) -> str | None:
        """The name of the better one; None where no difference is shown."""
        if not self.interval.is_clear:
            return None
        return self.arm.name if self.interval.difference < 0 else self.reference.name


def find(arms: Sequence[Arm], members: Sequence[Member], ruler: Ruler) -> list[Finding]:
    """Return each recipe against the first.

    With several comparisons each has a stricter interval, so that all of them hold together with 95 % (Bonferroni).
    """
    reference, *others = arms
    confidence = 1 - (1 - _CONFIDENCE) / max(len(others), 1)
    return [_compare(arm, reference, members, ruler, confidence) for arm in others]


def one_recipe(arm: Arm, members: Sequence[Member], ruler: Ruler) -> str:
    """Return what there is to say where all runs are one recipe."""
    losses = [ruler.value(members[index]) for index in arm.members]
    mean = sum(losses) / len(losses)
    spread = max(losses) - min(losses)
    return (
        f"no difference to find: these {len(losses)} runs are one recipe with different seeds;"
        f" {mean:.4f} {ruler.unit}, {spread:.4f} between the best and the worst"
    )


def _compare(
    arm: Arm, reference: Arm, members: Sequence[Member], ruler: Ruler, confidence: float
) -> Finding:
    ours = [members[index] for index in arm.members]
    theirs = [members[index] for index in reference.members]
    if min(len(ours), len(theirs)) < ENOUGH_SEEDS:
        interval = between_checkpoints(ruler.clusters(ours, theirs), confidence)
        said = _about_checkpoints(arm, reference, interval, ruler, confidence)
        return Finding(arm, reference, interval, False, confidence, said)
    a, b = ruler.seeds(ours, theirs)
    interval = between_recipes(a, b, confidence)
    needed = None if interval.is_clear else seeds_to_show(interval.difference, a, b, confidence)
    said = _about_recipes(arm, reference, interval, ruler, confidence, needed)
    return Finding(arm, reference, interval, True, confidence, said, needed)


def _about_recipes(
    arm: Arm,
    reference: Arm,
    interval: Interval,
    ruler: Ruler,
    confidence: float,
    needed: int | None,
) -> str:
    seeds = f"{len(arm.members)} and {len(reference.members)} seeds"
    size = f"{abs(interval.difference):.4f} +- {interval.margin:.4f} {ruler.unit}"
    how = f"({_percent(confidence)} interval over {seeds} and {ruler.stretch}s)"
    if not interval.is_clear:
        signed = f"{interval.difference:+.4f} +- {interval.margin:.4f} {ruler.unit}"
        many = "more than 100" if needed is None else f"about {needed}"
        return (
            f"no difference between the recipes is shown: {arm.name} against {reference.name}: {signed} {how};"
            f" {many} seeds on each side would show one of this size"
        )
    better, worse = (arm, reference) if interval.difference < 0 else (reference, arm)
    return f"the recipe of {better.name} is better than that of {worse.name} by {size} {how}"


def _about_checkpoints(
    arm: Arm, reference: Arm, interval: Interval, ruler: Ruler, confidence: float
) -> str:
    few = min(len(arm.members), len(reference.members))
    signed = f"{interval.difference:+.4f} +- {interval.margin:.4f} {ruler.unit}"
    seeds = "one seed" if few == 1 else f"{few} seeds"
    clear = "" if interval.is_clear else ", which may be nothing"
    return (
        f"these checkpoints differ by {signed}{clear}: {arm.name} against {reference.name}"
        f" ({_percent(confidence)} interval over {ruler.stretch}s);"
        f" nothing follows about the recipes: {seeds} on a side, {ENOUGH_SEEDS} are needed"
    )


def _percent(confidence: float) -> str:
    return f"{100 * confidence:.3g} %"
