"""What a training step costs, in time and memory, as one size at a time grows.

    python benchmarks/scaling.py --nanogpt nanoGPT                # a checkout; on a GPU: --device cuda

Writes scaling.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from common.options import parser_of
from common.page import table, write_page
from common.programs import Program, those_here
from common.shapes import Shape
from common.turns import Found, Job, take_turns

_BASE = Shape(4, 4, 256, 128, 8, 4096)
_SIZES = {
    "batch_size": (1, 2, 4, 8, 16, 32, 64),
    "context_length": (32, 64, 128, 256, 512, 1024),
    "vocab_size": (65, 1024, 4096, 16_384, 50_257),
    "n_layer": (1, 2, 4, 8, 16),
}
_WORDS = """\
From {base}, one size changed at a time. Medians over {rounds} rounds of {steps} steps each, every row and round in
a process of its own; memory is the peak of that process. "x time" is the time over that of the row before."""


def main() -> None:
    """Measure all rows and write the page."""
    parser = parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("--vary", nargs="+", choices=_SIZES, default=list(_SIZES))
    parser.add_argument("--sizes", nargs="+", type=int, help="in place of the script's own")
    options = parser.parse_args()
    steps = options.steps or 10
    on_gpu = options.device == "cuda"
    programs = [
        Program("gptkit", "auto", compiled=on_gpu, preset="modern"),
        Program("gptkit", "float32"),
        Program("nanoGPT", "bfloat16" if on_gpu else "float32", compiled=on_gpu),
    ]
    programs = those_here(programs, options.nanogpt)
    parts = [_WORDS.format(base=_BASE, rounds=options.rounds, steps=steps)]
    for size in options.vary:
        values = options.sizes or _SIZES[size]
        jobs = [
            Job(program, replace(_BASE, **{size: value}), steps, options.device, options.nanogpt)
            for program in programs
            for value in values
        ]
        found = take_turns(jobs, options.rounds)
        parts += [f"## {size}", scaling_table(size, jobs, found)]
    write_page(options.out, "Cost of a step against its sizes", parts, device=options.device)


def scaling_table(size: str, jobs: Sequence[Job], found: Sequence[Found]) -> str:
    """Return a row for each job; those of a program follow each other, by growing `size`."""
    rows = []
    before: tuple[Job, Found] | None = None
    for job, row in zip(jobs, found, strict=True):
        grown = ""
        if before is not None and before[0].program == job.program:
            grown = f"{row.seconds / before[1].seconds:.2f}"
        before = (job, row)
        value = getattr(job.shape, size)
        rows.append(
            [
                str(job.program),
                f"{value:,}",
                f"{1e3 * row.seconds:.1f}",
                grown,
                f"{1e6 * row.seconds / job.shape.tokens:.1f}",
                f"{row.peak_mib:,.0f}",
            ]
        )
    return table(["program", size, "ms a step", "x time", "us a token", "peak MiB"], rows)


if __name__ == "__main__":
    main()
