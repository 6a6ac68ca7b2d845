"""One GPU: how much of it GPT-2 124M uses, and how soon Shakespeare's characters are learned, beside nanoGPT.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/gpu.py --nanogpt nanoGPT --text tinyshakespeare.txt

Whole programs, `gptkit train` and nanoGPT's train.py, in turn on the same card. Writes gpu.md. `--tiny` tries it out on
a CPU with small models: its numbers mean nothing, and go to the screen.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from common.page import about, table, write_page
from common.runs import (
    CPU_RECIPE,
    Gptkit,
    NanoGPT,
    Ran,
    copy_checkout,
    crossing_step,
    evaluations,
    run_nanogpt,
    second_of_step,
)
from common.shapes import SHAPES, Shape
from numpy.typing import NDArray

from gptkit.runtime.peak import peak_flops

_ITERATION = re.compile(r"iter \d+: loss [\d.]+, time ([\d.]+)ms")
_FIRST_CHARACTER = 0x20000
_NUM_CHARACTERS = 2_000_000
_MFU_WORDS = """\
{shape}; {accumulation} such micro-batches a step, AdamW, {precision}, random tokens, {steps} steps of which
the first {warm} do not count. nanoGPT's train.py as it comes: it pads the vocabulary to 50,304. MFU compares with
{peak:,.1f} TFLOP/s; "full" counts attention to all keys, as nanoGPT does, "causal" only to those up to the query."""
_CHAR_WORDS = """\
`{config}` and nanoGPT's config/train_shakespeare_char.py, until the validation loss is at most {target}: gptkit's on
the whole split, nanoGPT's own on random batches. "Of training": from the first step on, evaluations included, and
compiling where the first step does it; "of the process": from its start."""


@dataclass(frozen=True)
class Trial:
    """What is asked of both programs."""

    shape: Shape
    """Of a micro-batch."""
    accumulation: int
    steps: int
    warm: int
    device: str
    compiled: bool


def main() -> None:
    """Run both parts and write, or with --tiny print, the page."""
    options = _options()
    if not options.tiny and not torch.cuda.is_available():
        sys.exit("there is no GPU here; --tiny tries the script out without one")
    gpt2 = replace(SHAPES["124M"], batch_size=options.micro_batch, context_length=1024)
    trial = Trial(gpt2, options.accumulation, options.steps, 10, "cuda", compiled=True)
    if options.tiny:
        trial = Trial(replace(SHAPES["tiny"], vocab_size=300), 2, 6, 2, "cpu", compiled=False)
    with tempfile.TemporaryDirectory() as folder:
        parts = [*_use(trial, options, Path(folder)), *_characters(trial, options, Path(folder))]
    if options.tiny:
        print("\n\n".join([about("cpu"), *parts]))
    else:
        write_page(options.out, "One GPU", parts, device="cuda")


def _use(trial: Trial, options: argparse.Namespace, folder: Path) -> list[str]:
    """Measure how much of the GPU both programs use; return a section."""
    shape = trial.shape
    work = folder / "use"
    work.mkdir()
    ids = _random_ids(shape.vocab_size)
    text = work / "random.txt"
    # A text of as many different characters as there are tokens: gptkit's char tokenizer gives them
    # back, and needs no download.
    text.write_text("".join(map(chr, _FIRST_CHARACTER + ids)), encoding="utf-8")
    found = {"nanoGPT": _nanogpt_step(trial, options.nanogpt, work / "nanoGPT", ids)}
    found["gptkit"] = _gptkit_step(trial, work, text)
    device = torch.device(trial.device)
    peak = peak_flops(device, torch.bfloat16 if trial.device == "cuda" else torch.float32) or 0.0
    rows = []
    for name, seconds in found.items():
        flops = [trial.accumulation * shape.step_flops(causal=c) / seconds for c in (False, True)]
        tokens = trial.accumulation * shape.tokens / seconds
        shares = [f"{rate / peak:.1%}" if peak else "" for rate in flops]
        rows.append([name, f"{1e3 * seconds:.1f}", f"{tokens:,.0f}", *shares])
    words = _MFU_WORDS.format(
        shape=shape,
        accumulation=trial.accumulation,
        precision="bfloat16, compiled" if trial.compiled else "float32",
        steps=trial.steps,
        warm=trial.warm,
        peak=peak / 1e12,
    )
    header = ["program", "ms a step", "tokens/s", "MFU, full", "MFU, causal"]
    return ["## Use of the GPU", words, table(header, rows)]


def _random_ids(vocab_size: int) -> NDArray[np.int64]:
    """Return the ids of a text in which each occurs."""
    random = np.random.default_rng(1)
    count = max(_NUM_CHARACTERS, 2 * vocab_size) if vocab_size > 1000 else 20_000
    return np.concatenate([np.arange(vocab_size), random.integers(vocab_size, size=count)])


def _nanogpt_step(trial: Trial, checkout: Path, folder: Path, ids: NDArray[np.int64]) -> float:
    """Return the seconds of a step of nanoGPT's train.py."""
    copy_checkout(checkout, folder)
    data = folder / "data/random"
    data.mkdir()
    for split in ("train", "val"):
        ids.astype(np.uint16).tofile(data / f"{split}.bin")
    ran = run_nanogpt(
        folder,
        dataset="random",
        device=trial.device,
        compile=trial.compiled,
        dtype="bfloat16" if trial.device == "cuda" else "float32",
        n_layer=trial.shape.n_layer,
        n_head=trial.shape.n_head,
        n_embd=trial.shape.n_embd,
        block_size=trial.shape.context_length,
        batch_size=trial.shape.batch_size,
        gradient_accumulation_steps=trial.accumulation,
        max_iters=trial.steps,
        eval_interval=10**9,
        eval_iters=1,
    )
    times = [float(m[1]) / 1e3 for _, line in ran.lines if (m := _ITERATION.match(line))]
    return statistics.median(times[trial.warm :])


def _gptkit_step(trial: Trial, folder: Path, text: Path) -> float:
    """Return the seconds of a step of `gptkit train`."""
    shape = trial.shape
    settings: dict[str, object] = {
        "data.tokenizer": "{name: char}",
        "data.val_fraction": 0.01,
        "model.bias": "false",
        "model.mlp": "{name: gelu}",
        "model.n_layer": shape.n_layer,
        "model.n_head": shape.n_head,
        "model.n_embd": shape.n_embd,
        "model.context_length": shape.context_length,
        "schedule": "{name: constant}",
        "training.max_steps": trial.steps,
        "training.batch_size": trial.accumulation * shape.batch_size,
        "training.micro_batch_size": shape.batch_size,
        "training.log_every": 2,
        "training.eval_every": 10**9,
        "training.save_every": 10**9,
        "training.sample_tokens": 0,
        "runtime.device": trial.device,
        "runtime.dtype": "bfloat16" if trial.device == "cuda" else "float32",
        "runtime.compile": str(trial.compiled).lower(),
    }
    program = Gptkit("gpt2_small", folder, text, settings)
    program.train("run", {})
    rates = [
        row["tokens_per_second"]
        for row in program.metrics("run")
        if row["step"] > trial.warm and row.get("tokens_per_second")
    ]
    return trial.accumulation * shape.tokens / float(statistics.median(rates))


def _characters(trial: Trial, options: argparse.Namespace, folder: Path) -> list[str]:
    """Measure how soon both programs learn Shakespeare's characters; return a section."""
    work = folder / "characters"
    work.mkdir()
    theirs: dict[str, object] = {"device": trial.device, "compile": trial.compiled}
    ours: dict[str, object] = {"runtime.device": trial.device}
    target = options.target
    if options.tiny:
        target = 100.0
        theirs |= CPU_RECIPE | {"max_iters": 6, "eval_interval": 3, "n_layer": 1, "eval_iters": 1}
        small = {"n_layer": 1, "n_embd": 24, "context_length": 16}
        ours |= {f"model.{name}": value for name, value in small.items()}
        ours |= {"training.max_steps": 6, "training.eval_every": 3, "schedule": "{name: constant}"}
    nanogpt = NanoGPT(options.nanogpt, work / "nanoGPT", options.text).train(**theirs)
    program = Gptkit(options.config, work, options.text)
    gptkit = program.train("run", ours)
    # Its loop begins where its own clock does.
    last = program.metrics("run")[-1]
    begun = second_of_step(gptkit, int(last["step"])) - last["elapsed_seconds"]
    rows = [
        _learned("nanoGPT", nanogpt, second_of_step(nanogpt, 0), target),
        _learned("gptkit", gptkit, begun, target),
    ]
    words = _CHAR_WORDS.format(config=options.config, target=target)
    header = ["program", "step", "seconds of training", "seconds of the process", "whole run"]
    return ["## Shakespeare's characters", words, table(header, rows)]


def _learned(name: str, ran: Ran, begun: float, target: float) -> list[str]:
    """Return a row; begun: the second of the process at which training began."""
    step = crossing_step(ran, target)
    best = min(loss for _, _, loss in evaluations(ran))
    whole = f"{ran.seconds:.1f} s, best loss {best:.4f}"
    if step is None:
        return [name, "not reached", "", "", whole]
    second = second_of_step(ran, step)
    return [name, str(step), f"{max(0.0, second - begun):.1f}", f"{second:.1f}", whole]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--text", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--micro-batch", type=int, default=32, help="sequences of 1024 tokens")
    parser.add_argument("--accumulation", type=int, default=4, help="micro-batches of a step")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--config", default="shakespeare_char", help="gptkit's, for characters")
    parser.add_argument("--target", type=float, default=1.4697)
    parser.add_argument("--tiny", action="store_true", help="a trial on a CPU")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
