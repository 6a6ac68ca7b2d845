"""nanoGPT's CPU recipe, run by nanoGPT and by gptkit with the same settings, in turn: whole processes.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/nanogpt_cpu.py --nanogpt nanoGPT --text tinyshakespeare.txt --rounds 3

Both checkpoints are scored by the same code on the full validation split (nanoGPT's own figure is on 20 random
batches). Writes nanogpt_cpu.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common.page import table, write_page
from common.runs import CPU_RECIPE, Gptkit, NanoGPT, spread

_WORDS = """\
4 layers, 4 heads, 128 channels, context 64, 12 sequences, 2000 steps, AdamW from 1e-3 to 1e-4 (`{config}`). Both
programs evaluate (nanoGPT 9 times on 20 random batches of both splits, gptkit 8 times on the full validation split) and
save. gptkit draws each window once an epoch, nanoGPT windows at random: the losses differ by that and by the seed."""


def main() -> None:
    """Run the comparison and write the page."""
    options = _options()
    dtypes = ("auto", "float32")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        theirs = NanoGPT(options.nanogpt, work / "nanoGPT", options.text)
        ours = Gptkit(options.config, work, options.text)
        seconds: dict[str, list[float]] = {name: [] for name in ("nanoGPT", *dtypes)}
        for number in range(options.rounds):
            seconds["nanoGPT"].append(theirs.train(**CPU_RECIPE).seconds)
            for dtype in dtypes:
                ran = ours.train(f"{dtype}{number}", {"runtime.dtype": dtype})
                seconds[dtype].append(ran.seconds)
        text = options.text.read_text(encoding="utf-8")
        losses = {"nanoGPT": theirs.loss(text, CPU_RECIPE["block_size"])}
        losses |= {dtype: ours.loss(f"{dtype}0", text) for dtype in dtypes}
    reference = statistics.median(seconds["nanoGPT"])
    rows = [
        [
            name if name == "nanoGPT" else f"gptkit {name}",
            spread(values),
            f"{reference / statistics.median(values):.2f}x",
            f"{losses[name]:.4f}",
        ]
        for name, values in seconds.items()
    ]
    header = ["program", "seconds, median (min, max)", "nanoGPT's / its", "full-split loss"]
    words = _WORDS.format(config=options.config)
    write_page(options.out, "nanoGPT's CPU recipe", [words, table(header, rows)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--text", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--config", default="shakespeare_char_cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
