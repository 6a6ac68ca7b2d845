"""The options that the benchmarks of training steps share."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser_of(script: str, doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser for a script; rounds: how often all are measured if nothing is said."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT; absent: without it")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--steps", type=int, help="that count, in a round; absent: some seconds")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=Path(script).with_suffix(".md"))
    return parser
