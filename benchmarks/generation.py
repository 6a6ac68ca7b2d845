"""Writing text: gptkit beside transformers, nanoGPT and llama.cpp, on this machine, in one run.

    pip install transformers gguf xllamacpp; python benchmarks/generation.py --nanogpt ../nanoGPT
    python benchmarks/generation.py --device cuda --only 124M --batches 1 8 64

Weights are random, in the shape of GPT-2 (124M) and of nanoGPT's Shakespeare model (10.65M): speed does not depend on
them. The programs take turns, each figure is the median of the rounds. Prints a table in Markdown.

    tokens/s      after the first token, all rows together; every program draws from its whole distribution
    first token   from the prompt's token ids to the first new one
    bound         the share of what memory allows: bytes of weights and of keys and values that a token needs,
                  over the fastest of three streaming reads, which take their turn among the programs
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gptkit.runtime.process import share_the_cores, use_large_pages

# As the command line does, before torch is imported; all programs here have the same.
share_the_cores()
use_large_pages()

import torch  # noqa: E402
from common.shapes import Shape  # noqa: E402
from generation_programs import MODELS, Program, Timing, bytes_per_step, programs  # noqa: E402

import gptkit  # noqa: E402

_READ_BYTES = 512 * 2**20


def measured_bandwidth(device: torch.device) -> float:
    """Return the bytes a second of the fastest of three streaming reads of 512 MB, medians of some."""
    matrix = torch.ones(_READ_BYTES // 4 // 4096, 4096, device=device)
    narrow = torch.ones(4096, _READ_BYTES // 4 // 4096, device=device)
    vector = torch.ones(4096, device=device)
    reads: list[Callable[[], object]] = [
        lambda: float(matrix.sum()),
        lambda: float(torch.mv(matrix, vector)[0]),
        lambda: float(torch.mv(narrow.t(), vector)[0]),
    ]
    return max(_READ_BYTES / _median_seconds(read) for read in reads)


def _median_seconds(work: Callable[[], object], times: int = 7) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Run all programs in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=MODELS, help="one of the two models")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--prompts", type=int, nargs="*", default=[16, 512])
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, Python"
        f" {platform.python_version()}, torch {torch.__version__}, gptkit {gptkit.__version__}"
    )
    for name, shape in MODELS.items():
        if options.only in (None, name):
            compare(name, shape, options)


def compare(name: str, shape: Shape, options: argparse.Namespace) -> None:
    """Print the table of one model."""
    with tempfile.TemporaryDirectory() as folder:
        device = torch.device(options.device)
        here = list(programs(shape, device, options.nanogpt, Path(folder)))
        take_turns(name, shape, options, here)


def take_turns(
    model: str,
    shape: Shape,
    options: argparse.Namespace,
    here: Sequence[tuple[str, str, Program]],
) -> None:
    """Time all programs on all sizes and print what they took."""
    device = torch.device(options.device)
    print(f"\n| {model}: program | rows | prompt | tokens/s | first token, ms | bound |")
    print("|---|---:|---:|---:|---:|---:|")
    for batch in options.batches:
        for prompt in options.prompts:
            if prompt + options.new_tokens > shape.context_length:
                continue
            found: dict[str, list[Timing]] = {name: [] for name, _, _ in here}
            for name, _, run in here:
                if batch == 1 or "llama.cpp" not in name:
                    run(batch, prompt, 2)  # packs, compiles, allocates
            reads = []
            for _ in range(options.rounds):
                reads.append(measured_bandwidth(device))
                for name, _, run in here:
                    if batch == 1 or "llama.cpp" not in name:
                        found[name].append(run(batch, prompt, options.new_tokens))
            bandwidth = statistics.median(reads)
            for name, dtype, _ in here:
                if not found[name]:
                    continue
                rate = statistics.median(t.rate for t in found[name])
                first = statistics.median(t.first for t in found[name])
                length = prompt + options.new_tokens // 2
                bound = batch * bandwidth / bytes_per_step(shape, dtype, batch, length)
                print(
                    f"| {name} | {batch} | {prompt} | {rate:,.1f} | {1000 * first:,.1f}"
                    f" | {100 * rate / bound:.0f} % |",
                    flush=True,
                )
            print(f"| (streaming read: {bandwidth / 1e9:.1f} GB/s) | {batch} | {prompt} | | | |")


if __name__ == "__main__":
    main()
