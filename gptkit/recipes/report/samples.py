"""What the model wrote through time, and what of it stands in its training text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from gptkit.insight.memorisation import SHORTEST, Copies
from gptkit.pages import Html, element, facts
from gptkit.pages.html import Child
from gptkit.pages.page import section
from gptkit.recipes.report.facts import RunFacts


def through_time(run: RunFacts, copied: Copies | None) -> Html | None:
    """Return the samples, the last open, with what was copied marked in it."""
    if not run.samples:
        return None
    last = run.samples[-1]
    return section(
        "Samples through time",
        *(
            element(
                "details",
                element("summary", f"step {sample.step:,}"),
                element(
                    "div",
                    *(marked(sample.text, copied) if sample is last else (sample.text,)),
                    class_="sample",
                ),
                open=sample is last,
            )
            for sample in run.samples
        ),
    )


def memorisation(run: RunFacts, copied: Copies | None) -> Html | None:
    """Return how much of the last sample was copied, and the longest passage with its place."""
    if copied is None:
        return None
    longest = copied.longest
    place = None
    if longest is not None:
        place = (
            f"line {longest.line:,} of the training text, document {longest.document:,},"
            f" byte {longest.at_byte:,}"
        )
    return section(
        "Memorised or made up?",
        element("p", f"{in_words(copied)[0].upper()}{in_words(copied)[1:]}."),
        facts(
            {
                "longest passage": None
                if longest is None
                else element("div", longest.text, class_="sample"),
                "length": None if longest is None else f"{longest.length:,} bytes",
                "stands at": place,
            }
        ),
    )


def in_words(copied: Copies) -> str:
    """Return what was copied in one sentence."""
    what = f"of the last sample {copied.share:.0%} stands word for word in the training text"
    if copied.longest is None:
        return f"{what} (no passage of {SHORTEST} bytes or more)"
    return (
        f"{what}, in passages of {SHORTEST} bytes or more; the longest has {copied.longest.length:,}"
        f" and begins in line {copied.longest.line:,}"
    )


def marked(text: str, copied: Copies | None) -> Iterator[Child]:
    """Yield a text in pieces, with a mark around those that were copied."""
    if copied is None or not copied.copied.any():
        yield text
        return
    sizes = np.array([len(char.encode("utf-8")) for char in text])
    flags = copied.copied[np.cumsum(sizes) - sizes]
    borders = [0, *(np.flatnonzero(np.diff(flags.astype(np.int8))) + 1).tolist(), len(text)]
    for start, end in pairwise(borders):
        piece = text[start:end]
        yield element("mark", piece) if flags[start] else piece
