"""Put faults into the installed gptkit and report whether its runs survive them.

    python scripts/fault_injection.py                     # all rows, into benchmarks/reliability/
    python scripts/fault_injection.py --short             # each a few times
    python scripts/fault_injection.py --only kill:1-20,flip:17,dry_run

Linux and macOS: what is injected are signals, full disks and processes that Windows does not have.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from faults.bench import Bench, Row, run_row
from faults.report import RowResult, about, table, write
from faults.rows import ROWS

_RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "reliability"


def main() -> None:
    """Run the rows and end with exit code 1 if a law did not hold."""
    options = _options()
    if os.name == "nt":
        sys.exit("this needs signals and processes as Linux and macOS have them")
    # A shell that starts this in the background has it ignored, and so would every child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Ended from outside it still unmounts its disks, and writes what there is.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    chosen = _chosen(options.only)
    results: list[RowResult] = []
    work = Path(tempfile.mkdtemp(prefix="gptkit-faults-"))
    bench = Bench(
        work=work,
        failed=options.out / "failures",
        seed=options.seed,
        jobs=options.jobs,
        short=options.short,
        device=options.device,
    )
    try:
        with bench.stack:
            for row, numbers in chosen:
                print(f"{row.name}: {row.law}", flush=True)
                results.append(run_row(row, bench, numbers, _say))
    finally:
        shutil.rmtree(work, ignore_errors=True)
        write(options.out, about(options.seed), results)
    print(table(results))
    print(f"written: {options.out / 'results.md'}")
    sys.exit(1 if any(result.failures for result in results) else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="each row a few times")
    parser.add_argument(
        "--only", default="", metavar="ROW[,ROW]", help="these rows; ROW:17 and ROW:1-20 are trials"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides every moment and every bit")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the report")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args()


def _chosen(only: str) -> list[tuple[Row, Sequence[int]]]:
    rows = {row.name: row for row in ROWS}
    wanted: dict[str, list[int]] = {}
    for text in only.split(",") if only else rows:
        name, _, number = text.partition(":")
        if name not in rows:
            sys.exit(f"--only: no row '{name}'; there are {', '.join(rows)}")
        first, _, last = number.partition("-")
        wanted.setdefault(name, []).extend(
            range(int(first), int(last or first) + 1) if number else []
        )
    return [(rows[name], numbers) for name, numbers in wanted.items()]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
