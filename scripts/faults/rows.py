"""All rows, in the order in which they are run."""

from __future__ import annotations

from faults import (
    cuda,
    damage,
    disk,
    diverge,
    dry_run,
    hostile,
    kills,
    ranks,
    signals,
    two_runs,
)
from faults.bench import Row

ROWS: tuple[Row, ...] = (
    *kills.ROWS,
    *ranks.ROWS,
    *signals.ROWS,
    *damage.ROWS,
    *disk.ROWS,
    *two_runs.ROWS,
    *diverge.ROWS,
    *dry_run.ROWS,
    *hostile.ROWS,
    *cuda.ROWS,
)
