"""Time and memory of a training step: gptkit, nanoGPT and transformers, same model, same batch.

    pip install transformers accelerate
    python benchmarks/throughput.py --nanogpt nanoGPT             # a checkout; on a GPU: --device cuda

Every program and round has a process of its own, one at a time, taking turns. Writes throughput.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.options import parser_of
from common.page import table, write_page
from common.programs import like_for_like
from common.shapes import SHAPES, STEPS, parse_batch
from common.turns import Found, Job, take_turns

_WORDS = """\
Medians over {rounds} rounds; a round starts every program once, which does {steps} steps after 3 that do not count.
float32 rows are eager and the same model (transformers' GPT-2 has biases; the modern block is RMSNorm, rotary,
QK-norm, SwiGLU at the same number of parameters), the others what each program's own settings make of this machine.
Memory is {memory}."""
_MEMORY = {
    "cpu": "the peak of the whole process, Python and torch included",
    "cuda": "the peak of torch's tensors on the GPU",
}


def main() -> None:
    """Measure all shapes and write the page."""
    parser = parser_of(__file__, __doc__, rounds=5)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["0.8M", "10.65M", "124M"])
    parser.add_argument("--batch", metavar="BxT", help="sequences x context, for all shapes")
    options = parser.parse_args()
    programs = like_for_like(options.device, options.nanogpt)
    parts = []
    for name in options.shapes:
        shape, steps = SHAPES[name], options.steps or STEPS[name]
        if options.batch:
            shape = shape.with_batch(*parse_batch(options.batch))
        jobs = [Job(p, shape, steps, options.device, options.nanogpt) for p in programs]
        memory = _MEMORY[options.device]
        words = _WORDS.format(rounds=options.rounds, steps=steps, memory=memory)
        found = take_turns(jobs, options.rounds)
        parts += [f"## {name}: {shape}", words, throughput_table(jobs, found)]
    write_page(options.out, "Training steps", parts, device=options.device)


def throughput_table(jobs: Sequence[Job], found: Sequence[Found]) -> str:
    """Return a row for each job; the first is what the others are compared with."""
    first = found[0]
    return table(
        ["program", "ms a step", "steps/s", "tokens/s", "speed", "peak MiB", "memory"],
        [
            [
                str(job.program),
                f"{1e3 * row.seconds:.1f}",
                f"{1 / row.seconds:.2f}",
                f"{job.shape.tokens / row.seconds:,.0f}",
                f"{first.seconds / row.seconds:.2f}x",
                f"{row.peak_mib:,.0f}",
                f"{row.peak_mib / first.peak_mib:.0%}",
            ]
            for job, row in zip(jobs, found, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
