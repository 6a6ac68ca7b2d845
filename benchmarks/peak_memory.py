"""Peak memory of a training step of GPT-2 124M: python benchmarks/peak_memory.py --nanogpt nanoGPT

Each program and batch has a process of its own, one at a time; its peak is what the system says of it at the end.
Writes peak_memory.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.options import parser_of
from common.page import table, write_page
from common.programs import Program, those_here
from common.shapes import SHAPES, parse_batch
from common.turns import Found, Job, take_turns

_PROGRAMS = [
    Program("nanoGPT", "float32"),
    Program("gptkit", "float32"),
    Program("gptkit", "auto"),
    Program("gptkit", "auto", compiled="auto"),
    Program("gptkit", "auto", preset="modern"),
]
_WORDS = """\
12 layers, 12 heads, 768 channels, vocabulary 50,257, no dropout, AdamW; a row is one process. What it holds:

- weights, gradients and the optimizer's two moments: 4 x 475 MiB in any of them, so a small batch cannot save much;
- Python and torch: about 250 MiB;
- activations for the backward pass, in bytes for each token, layer and channel: nanoGPT 66; gptkit in float32 50, for
  the MLP's inner channels are computed again where they are large (`gptkit/model/mlp.py`), in bfloat16 30;
- logits: nanoGPT several times tokens x vocabulary in float32; gptkit one chunk of 64 MiB at a time
  (`gptkit/training/loss.py`), but all of them where it is compiled."""


def main() -> None:
    """Measure every batch and write the page."""
    parser = parser_of(__file__, __doc__, rounds=1)
    parser.add_argument("--shape", choices=SHAPES, default="124M")
    parser.add_argument("--batches", nargs="+", default=["4x256", "8x512", "4x1024", "8x1024"])
    options = parser.parse_args()
    jobs = [
        Job(
            program,
            SHAPES[options.shape].with_batch(*parse_batch(batch)),
            steps=options.steps or 1,
            device=options.device,
            nanogpt=options.nanogpt,
            warm_steps=1,
        )
        for batch in options.batches
        for program in those_here(_PROGRAMS, options.nanogpt)
    ]
    parts = [_WORDS, memory_table(jobs, take_turns(jobs, options.rounds))]
    write_page(options.out, "Peak memory of a training step", parts, device=options.device)


def memory_table(jobs: Sequence[Job], found: Sequence[Found]) -> str:
    """Return a row for each job, compared with the first one of the same batch."""
    first: dict[str, float] = {}
    rows = []
    for job, row in zip(jobs, found, strict=True):
        batch = f"{job.shape.batch_size} x {job.shape.context_length}"
        share = row.peak_mib / first.setdefault(batch, row.peak_mib)
        time = f"{row.seconds:.1f}"
        rows.append([batch, str(job.program), f"{row.peak_mib:,.0f}", f"{share:.0%}", time])
    header = ["sequences x context", "program", "peak MiB", "of the first", "seconds a step"]
    return table(header, rows)


if __name__ == "__main__":
    main()
