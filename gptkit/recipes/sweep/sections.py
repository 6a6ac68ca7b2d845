"""A sweep as a table for a terminal and as the parts of a page."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from gptkit.loggers.metrics import series
from gptkit.pages import Chart, Html, Series, chart, element, table
from gptkit.pages.page import section
from gptkit.recipes.sweep.trials import Result

_SEED = "training.seed"
_LOG_SPAN = 8  # values that span so much were chosen by factors


def in_words(settings: Mapping[str, Any]) -> str:
    """Return settings on one line."""
    return "  ".join(f"{key}={_plain(value)}" for key, value in settings.items())


def lines(results: Sequence[Result]) -> list[str]:
    """Return the trials, best first, and the recipes where seeds were swept."""
    head = ("val loss", "bits/byte", "step", "status", "trial", *varied(results))
    rows = [_cells(one, varied(results)) for one in ranked(results)]
    found = _aligned([head, *rows])
    if best := best_of(results):
        found += ["", best]
    recipes = by_recipe(results)
    if recipes:
        cells = [
            (f"{mean:.4f}", f"{spread:.4f}", str(seeds), name)
            for name, mean, spread, seeds in recipes
        ]
        found += ["", *_aligned([("mean", "deviation", "seeds", "recipe"), *cells])]
    return found


def all_of(name: str, results: Sequence[Result]) -> Iterator[Html]:
    """Yield the parts of the page."""
    keys = varied(results)
    yield element("h1", name)
    yield element("p", f"gptkit sweep of {len(results)} trials", class_="soft")
    if best := best_of(results):
        yield element("div", element("p", f"{best[0].upper()}{best[1:]}."), class_="verdict")
    rows = [_cells(one, keys) for one in ranked(results)]
    head = ("trial", "validation loss", "bits per byte", "step", "status", *keys)
    shown = [(cells[4], *cells[:4], *cells[5:]) for cells in rows]
    yield section("Trials, best first", table(head, shown))
    recipes = by_recipe(results)
    if recipes:
        means = [
            (recipe, f"{mean:.4f}", f"{spread:.4f}", seeds)
            for recipe, mean, spread, seeds in recipes
        ]
        yield section(
            "Recipes",
            element(
                "p", "Means over seeds. gptkit compare says which differences are more than chance."
            ),
            table(("recipe", "mean loss", "standard deviation", "seeds"), means),
        )
    yield section("What each setting did", element("div", *_by_key(results, keys), class_="small"))
    yield section(
        "Validation loss",
        chart(
            Chart(
                "Nats per token",
                "step",
                [
                    Series(one.trial.name, *_curve(one), color, "marked")
                    for color, one in enumerate(ranked(results)[:24])
                ],
                note="the 24 best; drag to zoom",
            )
        ),
    )


def best_of(results: Sequence[Result]) -> str | None:
    """Return which trial was best, and which of its numbers is an end of three or more; None where none has a loss."""
    best = ranked(results)[0] if results else None
    if best is None or best.loss is None:
        return None
    keys = [key for key in varied(results) if key != _SEED]
    chosen = {key: best.trial.settings.get(key) for key in varied(results)}
    said = f"lowest validation loss: {best.loss:.4f}, {best.trial.name}, {in_words(chosen)}"
    for key in keys:
        tried = {v for one in results if _is_number(v := one.trial.settings.get(key))}
        if len(tried) > 2 and chosen[key] in (min(tried), max(tried)):
            end = "smallest" if chosen[key] == min(tried) else "largest"
            said += f"; {_plain(chosen[key])} is the {end} {key} that was tried"
    return said


def varied(results: Sequence[Result]) -> list[str]:
    """Return the keys that are not the same in all trials."""
    keys = dict.fromkeys(key for one in results for key in one.trial.settings)
    return [
        key for key in keys if len({_plain(one.trial.settings.get(key)) for one in results}) > 1
    ]


def ranked(results: Sequence[Result]) -> list[Result]:
    """Return the trials, lowest loss first, those without one last."""
    return sorted(results, key=lambda one: (one.loss is None, one.loss or 0.0, one.trial.number))


def by_recipe(results: Sequence[Result]) -> list[tuple[str, float, float, int]]:
    """Return (recipe, mean loss, standard deviation, seeds), best first; nothing where no seed was swept."""
    keys = varied(results)
    if _SEED not in keys:
        return []
    losses: dict[str, list[float]] = {}
    for one in results:
        if one.loss is not None:
            settings = {key: one.trial.settings[key] for key in keys if key != _SEED}
            losses.setdefault(in_words(settings) or "all", []).append(one.loss)
    found = [
        (name, statistics.fmean(of), statistics.stdev(of) if len(of) > 1 else 0.0, len(of))
        for name, of in losses.items()
    ]
    return sorted(found, key=lambda recipe: recipe[1])


def _by_key(results: Sequence[Result], keys: Sequence[str]) -> Iterator[Html]:
    for key in keys:
        points = [
            (one.trial.settings[key], one.loss)
            for one in results
            if one.loss is not None and _is_number(one.trial.settings.get(key))
        ]
        if points:
            x, y = zip(*sorted(points), strict=True)
            is_log = x[0] > 0 and math.isfinite(x[-1]) and x[-1] / x[0] >= _LOG_SPAN
            dots = Series("loss", x, y, 0, "dots")
            yield chart(Chart(key, key.rpartition(".")[2], [dots], log_x=is_log))


def _cells(one: Result, keys: Sequence[str]) -> tuple[str, ...]:
    bits, step = one.best.get("val_bits_per_byte"), one.best.get("step")
    return (
        "" if one.loss is None else f"{one.loss:.4f}",
        "" if bits is None else f"{bits:.4f}",
        "" if step is None else f"{step:,}",
        one.trial.status,
        one.trial.name,
        *(_plain(one.trial.settings.get(key)) for key in keys),
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _curve(one: Result) -> tuple[list[float], list[float]]:
    points = series(one.rows, "val_loss")
    return [x for x, _ in points], [y for _, y in points]


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
