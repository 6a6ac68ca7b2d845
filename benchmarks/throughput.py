"""Time and memory of a training step: gptkit, nanoGPT and transformers, same model, same batch.

    pip install transformers accelerate
    python benchmarks/throughput.py --nanogpt nanoGPT                  # a checkout; on a GPU: --device cuda

Every program and round has a process of its own, one at a time, taking turns. Writes throughput.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.page import table, write_page
from common.programs import like_for_like
from common.shapes import SHAPES, Shape, shape_of
from common.turns import Found, Job, take_turns

# Steps that count in a round: about ten seconds of each.
_STEPS = {"0.8M": 200, "10.65M": 8, "124M": 3, "tiny": 2}
_WORDS = """\
Medians over {rounds} rounds; a round starts every program once, which does {steps} steps after 3 that do not count.
float32 rows are eager and the same model (transformers' GPT-2 has biases; the modern block is RMSNorm, rotary,
QK-norm, SwiGLU at the same number of parameters), the others what each program's own settings make of this machine.
Memory is the peak of the whole process, Python and torch included."""


def main() -> None:
    """Measure all shapes and write the page."""
    options = _options()
    parts = []
    for name in options.shapes:
        batch_size, context = options.batch or (None, None)
        shape = shape_of(name, batch_size=batch_size, context=context)
        steps = options.steps or _STEPS[name]
        jobs = [
            Job(program, shape, steps, options.device, options.nanogpt)
            for program in like_for_like(options.device, options.nanogpt)
        ]
        words = _WORDS.format(rounds=options.rounds, steps=steps)
        found = take_turns(jobs, options.rounds)
        parts += [f"## {name}: {shape}", words, _table(jobs, shape, found)]
    write_page(options.out, "Training steps", parts, device=options.device)


def _table(jobs: list[Job], shape: Shape, found: list[Found]) -> str:
    """Return the rows; the first program is what the others are compared with."""
    reference = found[0]
    return table(
        [
            "program",
            "ms a step",
            "steps/s",
            "tokens/s",
            "of the first's speed",
            "peak MiB",
            "of the first's",
        ],
        [
            [
                str(job.program),
                f"{1e3 * row.seconds:.1f}",
                f"{1 / row.seconds:.2f}",
                f"{shape.tokens / row.seconds:,.0f}",
                f"{reference.seconds / row.seconds:.2f}x",
                f"{row.peak_mib:,.0f}",
                f"{row.peak_mib / reference.peak_mib:.0%}",
            ]
            for job, row in zip(jobs, found, strict=True)
        ],
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT; absent: without it")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["0.8M", "10.65M", "124M"])
    parser.add_argument("--batch", nargs=2, type=int, metavar=("SEQUENCES", "CONTEXT"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="that count, in a round; absent: by the shape")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
