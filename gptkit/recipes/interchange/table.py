"""A proof as a table, on stdout: it is what an export or an import results in."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.interchange.proof import Comparison

_HEAD = ("compared", "on", "largest difference", "allowed")


def print_proof(comparisons: Sequence[Comparison]) -> None:
    """Print what was compared, on how much, and how far apart it was."""
    rows = [_HEAD, *(_row(comparison) for comparison in comparisons)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _row(comparison: Comparison) -> tuple[str, str, str, str]:
    largest, allowed = (f"{value:.2g}" for value in (comparison.largest, comparison.allowed))
    return comparison.what, comparison.count, largest, allowed
