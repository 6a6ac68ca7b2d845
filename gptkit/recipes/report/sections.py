"""The parts of a report as HTML, each from the facts that it shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from gptkit.loggers.console import duration
from gptkit.pages import Chart, Html, Level, Series, chart, element, facts, table, tiles
from gptkit.pages.chart import smoothed
from gptkit.pages.page import section
from gptkit.recipes.report.facts import RunFacts
from gptkit.recipes.report.verdict import Verdict


def header(run: RunFacts) -> Html:
    """Return what the page is about."""
    started = f", started {run.started:%Y-%m-%d %H:%M} UTC" if run.started else ""
    evaluated = f"step {run.step:,}"
    return element(
        "header",
        element("h1", run.name),
        element("p", f"gptkit report of {evaluated}{started}", class_="soft"),
    )


def verdict_box(verdict: Verdict) -> Html:
    """Return the verdict with its reasons."""
    return element(
        "div",
        element("p", element("strong", verdict.name), ": ", verdict.because, "."),
        *(element("p", advice[0].upper() + advice[1:], class_="soft") for advice in verdict.advice),
        class_=f"verdict {verdict.name.replace(' ', '-')}",
    )


def key_figures(run: RunFacts) -> Html:
    """Return the figures that one looks for first."""
    row = run.at_checkpoint
    loss, bits = row.get("val_loss"), row.get("val_bits_per_byte")
    seconds, speed = run.last("elapsed_seconds"), run.last("tokens_per_second")
    tokens = run.last("tokens")
    found: list[tuple[str, str, str]] = []
    gained, right = row.get("val_reward_margin"), row.get("val_accuracy")
    if loss is not None:
        found.append(("validation loss", f"{loss:.4f}", loss_unit(run)))
    if loss is not None and not run.of_pairs:
        found.append(("perplexity", f"{math.exp(min(loss, 700)):,.4g}", "exp(loss)"))
    if gained is not None and right is not None:
        found.append(("prefers the chosen", f"{right:.1%}", "of held-out pairs"))
        found.append(("reward margin", f"{gained:.3f}", "chosen above rejected answers"))
    if bits is not None:
        found.append(("bits per byte", f"{bits:.4f}", "compares between tokenizers"))
    found.append(("parameters", short(run.num_parameters), f"vocabulary {run.vocab_size:,}"))
    if tokens is not None:
        per = tokens / run.num_parameters
        found.append(("tokens learned from", short(tokens), f"{per:.3g} per parameter"))
    if seconds is not None:
        remark = f"{speed:,.0f} tokens/s at the end" if speed is not None else ""
        found.append(("time", duration(seconds), remark))
    return tiles(found)


def curves(run: RunFacts, baselines: Mapping[str, float]) -> Html:
    """Return the loss curves and, smaller, what else was logged."""
    loss = chart(
        Chart(
            f"Loss, {loss_unit(run)}",
            "step",
            loss_series(run),
            [Level(name, value) for name, value in baselines.items()],
            note="drag to zoom, double-click to go back",
        )
    )
    others = (
        ("Learning rate", "learning_rate", 0),
        ("Gradient norm, before clipping", "grad_norm", 3),
        ("Validation accuracy", "val_accuracy", 1),
        ("Reward margin", "val_reward_margin", 1),
        ("Tokens per second", "tokens_per_second", 2),
    )
    small = [
        chart(Chart(title, "step", [_series(run, key, key.replace("_", " "), color)]))
        for title, key, color in others
        if len(run.curve(key)) > 1
    ]
    return section("Curves", loss, element("div", *small, class_="small"))


def loss_unit(run: RunFacts) -> str:
    """Return what the losses of a run are of."""
    return "nats per pair" if run.of_pairs else "nats per token"


def loss_series(run: RunFacts) -> list[Series]:
    """Return the training loss, as logged and smoothed, and the validation loss."""
    train = _series(run, "train_loss", "train, as logged", 0, style="faint")
    x, y = np.asarray(train.x, np.float64), np.asarray(train.y, np.float64)
    found = (
        [train, Series("train", *smoothed(x, y), 0)]
        if len(x) > 40
        else [_series(run, "train_loss", "train", 0)]
    )
    return [*found, _series(run, "val_loss", "validation", 1, style="marked")]


def evaluations(run: RunFacts) -> Html | None:
    """Return the evaluations as a table, folded."""
    rows = [row for row in run.rows if row.get("val_loss") is not None]
    if not rows:
        return None
    lines = [
        (
            f"{row['step']:,}",
            *(_number(row.get(key)) for key in ("train_loss", "val_loss")),
            _number(row.get("val_bits_per_byte")),
            _number(row.get("val_accuracy")),
        )
        for row in rows
    ]
    head = ("step", "train loss", "validation loss", "bits per byte", "accuracy")
    shown = table(head, lines, words=0)
    return element("details", element("summary", f"All {len(rows)} evaluations"), shown)


def data(run: RunFacts) -> Html | None:
    """Return what the run learned from."""
    if run.dataset is None:
        said = run.log.get("data")
        return section("Data", element("p", said)) if said else None
    manifest = run.dataset.manifest
    per_epoch = manifest.splits["train"].tokens
    tokens = run.last("tokens")
    rows = [
        (
            name,
            f"{split.tokens:,}",
            f"{split.bytes:,}",
            f"{split.bytes / split.tokens:.2f}",
            f"{split.documents:,}",
        )
        for name, split in manifest.splits.items()
        if split.tokens
    ]
    return section(
        "Data",
        facts(
            {
                "source": manifest.source,
                "text": f"{manifest.text.characters:,} characters, {manifest.text.bytes:,} bytes,"
                f" {manifest.text.documents:,} documents",
                "sha256": manifest.text.sha256,
                "tokenizer": f"{manifest.tokenizer.kind}, {manifest.tokenizer.vocab_size:,} tokens",
                "passes over it": None if tokens is None else f"{tokens / per_epoch:.3g} epochs",
            }
        ),
        table(("split", "tokens", "bytes", "bytes per token", "documents"), rows),
    )


def cost(run: RunFacts) -> Html:
    """Return what the run took and where."""
    tokens, seconds = run.last("tokens"), run.last("elapsed_seconds")
    flops = None
    if run.flops_per_token is not None and tokens is not None:
        flops = f"{run.flops_per_token * tokens:.3g} FLOP, {run.flops_per_token:,} per token"
    mfu, waited = run.last("mfu"), run.last("data_wait")
    return section(
        "Cost and environment",
        facts(
            {
                "time": None if seconds is None else f"{duration(seconds)} of training",
                "computation": flops,
                "of the device's peak": None if mfu is None else f"{mfu:.1%}",
                "waiting for data": None if waited is None else f"{waited:.1%}",
                "machine": run.log.get("machine"),
                "system": run.log.get("system"),
                "versions": ", ".join(f"{name} {v}" for name, v in run.versions.items()) or None,
            }
        ),
    )


def settings(run: RunFacts) -> Html:
    """Return the resolved config: a copy of it trains the same run."""
    return section(
        "Settings",
        element(
            "details",
            element("summary", "config.yaml, resolved"),
            element("pre", run.config_text),
        ),
    )


def short(count: float) -> str:
    """Return a large number as people say it: 1.2M.

    >>> short(1_003_854), short(950)
    ('1.00M', '950')
    """
    for unit, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return (
                f"{count / unit:.3g}{suffix}"
                if count < 10 * unit
                else f"{count / unit:,.1f}{suffix}"
            )
    return f"{count:,.0f}"


def _series(run: RunFacts, key: str, name: str, color: int, style: str = "line") -> Series:
    points = np.array(run.curve(key), np.float64).reshape(-1, 2)
    return Series(name, points[:, 0], points[:, 1], color, style)  # type: ignore[arg-type]


def _number(value: float | int | None) -> str:
    return "" if value is None else f"{value:.4f}"


def all_of(*parts: Html | None) -> Iterator[Html]:
    """Yield the parts that there are."""
    return (part for part in parts if part is not None)
