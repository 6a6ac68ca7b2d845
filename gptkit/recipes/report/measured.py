"""The parts of a report that an evaluation fills: baselines, context, confidence, best and worst passages."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.insight.baselines import Baseline
from gptkit.insight.reading import Passage
from gptkit.pages import Chart, Html, Series, chart, element, table
from gptkit.pages.html import Child
from gptkit.pages.page import section
from gptkit.recipes.evaluate import Examination


def beside_baselines(
    baselines: Sequence[Baseline], loss: float | None, bits_per_byte: float | None, *, whole: bool
) -> Html:
    """Return the model beside what simple means reach on the same text.

    loss, bits_per_byte: of the model. whole: whether they were counted on all of it.
    """
    lines: list[tuple[float, Sequence[Child]]] = [
        (
            one.loss,
            (
                one.name,
                f"{one.loss:.4f}",
                _bits(one.bits_per_byte),
                "" if loss is None else f"{1 - loss / one.loss:+.1%}",
            ),
        )
        for one in baselines
    ]
    if loss is not None:
        own = ("this model", f"{loss:.4f}", _bits(bits_per_byte))
        lines.append((loss, (*(element("strong", cell) for cell in own), "")))
    rows = [row for _, row in sorted(lines, key=lambda line: -line[0])]
    more = "" if whole else " For all of them on the whole text: gptkit report."
    return section(
        "Beside baselines",
        element(
            "p",
            "What simple means make of the same validation text, worst first. Uniform knows only how many"
            " tokens there are: an untrained model is about there. An n-gram counts which token followed"
            f" the same n - 1 tokens in the training text.{more}",
        ),
        table(("", "nats per token", "bits per byte", "the model saves"), rows),
    )


def by_context(found: Examination | None) -> Html | None:
    """Return the loss by how many tokens the model had seen."""
    if found is None or len(found.by_position) < 2:
        return None
    curve = Series(
        "loss",
        [part.last for part in found.by_position],
        [part.loss for part in found.by_position],
        4,
        "marked",
    )
    return section(
        "Does context help?",
        element(
            "p",
            "The loss of tokens that had so many tokens before them. It falls as long as the model makes"
            " use of more context; where it is flat, a longer one would be wasted.",
        ),
        element(
            "div",
            chart(Chart("Loss, nats per token", "tokens seen", [curve])),
            table(
                ("tokens seen", "nats per token", "tokens"),
                [
                    (
                        f"{part.first:,}"
                        if part.first == part.last
                        else f"{part.first:,}-{part.last:,}",
                        f"{part.loss:.4f}",
                        f"{part.tokens:,}",
                    )
                    for part in found.by_position
                ],
            ),
            class_="small",
        ),
    )


def confidence(found: Examination | None) -> Html | None:
    """Return whether the model is as often right as it says."""
    if found is None:
        return None
    rows = [
        (f"{part.confidence:.1%}", f"{part.accuracy:.1%}", f"{part.tokens:,}")
        for part in found.calibration
    ]
    return section(
        "Is it as sure as it should be?",
        element(
            "p",
            f"The likeliest token was right {found.accuracy:.1%} of the time, and the right one among the"
            f" five likeliest {found.top5_accuracy:.1%}. Where the model said 30 %, it should be right 30 %"
            f" of the time; on average it is {found.calibration_error:.1%} off.",
        ),
        element(
            "details",
            element("summary", "By confidence"),
            table(("it said", "it was right", "tokens"), rows, words=0),
        ),
    )


def ends(found: Examination | None) -> Html | None:
    """Return the passages that the model knows least and most about."""
    if found is None or not found.worst:
        return None
    hardest = {passage.start for passage, _ in found.worst}
    # Of a short text the same passage may be among both.
    easiest = [one for one in reversed(found.best) if one[0].start not in hardest]
    return section(
        "Hardest and easiest passages",
        table(
            ("begins", "at token", "nats per token"),
            map(_passage, (*found.worst, *easiest)),
        ),
    )


def _bits(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _passage(one: tuple[Passage, str]) -> Sequence[Child]:
    passage, text = one
    return element("code", text), f"{passage.start:,}", f"{passage.loss:.4f}"
