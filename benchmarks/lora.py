"""LoRA beside full fine-tuning, and beside peft, at GPT-2 124M: python benchmarks/lora.py

Each program has a process of its own, one at a time, all taking turns; its peak is what the system says of it at the
end. Writes lora.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.options import parser_of
from common.page import table, write_page
from common.programs import Program, those_here
from common.shapes import SHAPES, parse_batch
from common.turns import Found, Job, take_turns

_PROGRAMS = [
    Program("gptkit", "float32"),
    Program("gptkit", "float32", lora=True),
    Program("transformers", "float32"),
    Program("transformers", "float32", lora=True),
    Program("gptkit", "auto"),
    Program("gptkit", "auto", lora=True),
    Program("transformers", "bfloat16", lora=True),
]
_WORDS = """\
12 layers, 12 heads, 768 channels, vocabulary 50,257, no dropout, AdamW. LoRA: rank 8, alpha 16, beside all four linear
layers of each block, 1,179,648 parameters that learn, in gptkit as in peft (whose model transformers' Trainer trains).
A row is one process. LoRA saves the gradients and AdamW's two moments of the 124M weights, which are three quarters of
what a step holds beside its activations, and the products for the gradients of the matrices, a third of the work."""


def main() -> None:
    """Measure every program and write the page."""
    parser = parser_of(__file__, __doc__, rounds=3)
    parser.add_argument("--shape", choices=SHAPES, default="124M")
    parser.add_argument("--batch", default="2x256")
    options = parser.parse_args()
    shape = SHAPES[options.shape].with_batch(*parse_batch(options.batch))
    jobs = [
        Job(program, shape, steps=options.steps or 3, device=options.device, warm_steps=1)
        for program in those_here(_PROGRAMS, None)
    ]
    parts = [_WORDS, beside_full(jobs, take_turns(jobs, options.rounds))]
    write_page(options.out, "LoRA at 124M", parts, device=options.device)


def beside_full(jobs: Sequence[Job], found: Sequence[Found]) -> str:
    """Return a row for each job, with its share of what the first one takes."""
    first = found[0]
    rows = [
        [
            str(job.program),
            f"{row.peak_mib:,.0f}",
            f"{row.peak_mib / first.peak_mib:.0%}",
            f"{1e3 * row.seconds:,.0f}",
            f"{row.seconds / first.seconds:.0%}",
        ]
        for job, row in zip(jobs, found, strict=True)
    ]
    header = ["program", "peak MiB", "of the first", "ms a step", "of the first"]
    return (
        f"{jobs[0].shape.batch_size} x {jobs[0].shape.context_length} tokens a step.\n\n"
        + table(header, rows)
    )


if __name__ == "__main__":
    main()
