"""How much of what this machine can compute a training step uses.

    python benchmarks/utilisation.py --nanogpt nanoGPT            # a checkout; on a GPU: --device cuda

The ceiling is what the same process measures right after its steps: the best rate of matrix products in the program's
precision (gptkit/runtime/ceilings.py). Writes utilisation.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from common.options import parser_of
from common.page import table, write_page
from common.programs import Program, those_here
from common.shapes import SHAPES, STEPS
from common.turns import Found, Job, take_turns

from gptkit.runtime.peak import peak_flops

_WORDS = """\
A step's floating-point operations are 6 for each weight of a matrix product and token, and 12 for each layer, channel,
query and key of attention: of all keys ("full", which compares with nanoGPT's figure), or only of those up to the
query ("causal", which has to be computed). Each is divided by the step's time and by the ceiling: the best rate of
matrix products in the same precision, measured in the same process right after the steps{also}. Medians over
{rounds} rounds."""
_DATA_SHEET = ", and by the 16-bit peak of the GPU's data sheet (MFU)"


def main() -> None:
    """Measure all shapes and write the page."""
    parser = parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["0.8M", "10.65M", "124M"])
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    programs = [
        Program("nanoGPT", "bfloat16", compiled=True) if on_gpu else Program("nanoGPT", "float32"),
        Program("gptkit", "float32"),
        Program("gptkit", "auto", compiled=on_gpu),
        Program("gptkit", "auto", compiled=on_gpu, preset="modern"),
    ]
    peak = peak_flops(torch.device("cuda"), torch.bfloat16) if on_gpu else None
    parts = [_WORDS.format(rounds=options.rounds, also=_DATA_SHEET if on_gpu else "")]
    for name in options.shapes:
        shape, steps = SHAPES[name], options.steps or STEPS[name]
        jobs = [
            Job(program, shape, steps, options.device, options.nanogpt, with_ceiling=True)
            for program in those_here(programs, options.nanogpt)
        ]
        found = take_turns(jobs, options.rounds)
        parts += [f"## {name}: {shape}", utilisation_table(jobs, found, peak)]
    write_page(options.out, "Share of the machine's ceiling", parts, device=options.device)


def utilisation_table(jobs: Sequence[Job], found: Sequence[Found], peak: float | None) -> str:
    """Return a row for each job; peak: FLOP/s of the GPU's data sheet, None on a CPU."""
    header = ["program", "ms a step", "GFLOP/s, full", "ceiling GFLOP/s", "full", "causal"]
    header += ["MFU, full", "MFU, causal"] if peak else []
    rows = []
    for job, row in zip(jobs, found, strict=True):
        full, causal = (job.shape.step_flops(causal=c) / row.seconds for c in (False, True))
        limits = [row.ceiling] + ([peak] if peak else [])
        shares = [f"{r / m:.1%}" if m else "" for m in limits for r in (full, causal)]
        ceiling = f"{row.ceiling / 1e9:,.0f}" if row.ceiling else ""
        time = f"{1e3 * row.seconds:.1f}"
        rows.append([str(job.program), time, f"{full / 1e9:,.0f}", ceiling, *shares])
    return table(header, rows)


if __name__ == "__main__":
    main()
