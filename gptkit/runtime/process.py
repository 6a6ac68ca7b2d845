"""What must be set before torch is imported."""

from __future__ import annotations

import os


def share_the_cores() -> None:
    """Let OpenMP's threads wait for each other by spinning only briefly, unless the user said otherwise.

    A thread that spins takes the core from the one it waits for as soon as any other program is busy (a browser, a
    second run). Measured on 2 cores with the quickstart, tokens/s with libgomp's default and with this: alone 21,000
    and 22,000, beside one busy process 5,000 and 8,500, beside two 1,300 and 5,700. Never to spin costs 25 % alone.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def use_large_pages() -> None:
    """Let torch ask Linux for large pages, unless the user said otherwise.

    Every token that a model writes reads all its weights: looking up where small pages are takes 5 to 10 % of it.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
