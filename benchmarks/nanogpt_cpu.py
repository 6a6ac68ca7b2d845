"""nanoGPT's CPU recipe and ours with the same settings, in turn, on the same text: whole processes, medians.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/nanogpt_cpu.py --nanogpt nanoGPT --text tinyshakespeare.txt --rounds 3

Both checkpoints are scored by the same code on the full validation split (nanoGPT's own figure is on 20 random
batches). Prints a table in Markdown; nothing but the two programs runs meanwhile, if the machine is yours.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import gptkit
from gptkit.data.batches import EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.tokenizers.char import CharTokenizer

_RECIPE = [
    "config/train_shakespeare_char.py",
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=500",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
]
_CONTEXT = 64


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--text", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        theirs = shutil.copytree(options.nanogpt, work / "nanoGPT")
        shutil.copy(options.text, theirs / "data/shakespeare_char/input.txt")
        _run([sys.executable, "data/shakespeare_char/prepare.py"], theirs)
        source = f"data.source={{name: text, paths: ['{options.text.resolve()}']}}"
        ours = [sys.executable, "-m", "gptkit", "train", "shakespeare_char_cpu", "--set", source]
        _run(
            [sys.executable, "-m", "gptkit", "prepare", "shakespeare_char_cpu", "--set", source],
            work,
        )
        seconds: dict[str, list[float]] = {"nanoGPT": [], "gptkit auto": [], "gptkit float32": []}
        for i in range(options.rounds):
            seconds["nanoGPT"].append(_run([sys.executable, "train.py", *_RECIPE], theirs))
            seconds["gptkit auto"].append(_run([*ours, "--run-dir", f"auto{i}"], work))
            single = [*ours, "--run-dir", f"single{i}", "--set", "runtime.dtype=float32"]
            seconds["gptkit float32"].append(_run(single, work))
        losses = {
            "nanoGPT": _their_loss(theirs, options.text.read_text(encoding="utf-8")),
            "gptkit auto": _our_loss(work / "auto0"),
            "gptkit float32": _our_loss(work / "single0"),
        }
    _print(seconds, losses)


def _run(command: Sequence[str], folder: Path) -> float:
    """Run a command to its end and return its seconds."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def _our_loss(run: Path) -> float:
    loss = gptkit.load(run, dtype="float32").metrics[-1]["val_loss"]
    assert loss is not None
    return loss


def _their_loss(checkout: Path, text: str) -> float:
    """Return the loss of nanoGPT's checkpoint on the full validation split, nats per character."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", checkout / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    state = torch.load(checkout / "out-shakespeare-char/ckpt.pt", map_location="cpu")
    model = module.GPT(module.GPTConfig(**state["model_args"]))
    model.load_state_dict(state["model"])
    model.eval()
    tokenizer = CharTokenizer("".join(sorted(set(text))))
    tokens = InMemoryTokens(tokenizer.encode_array(text[int(len(text) * 0.9) :]), np.array([0]))
    nats, count = 0.0, 0
    with torch.no_grad():
        for batch in EvaluationWindows(tokens, _CONTEXT):
            scored = batch.targets != -100
            # It returns all logits only where it is given targets.
            logits, _ = model(batch.tokens, batch.targets.clamp(min=0))
            losses = torch.nn.functional.cross_entropy(
                logits[scored], batch.targets[scored], reduction="sum"
            )
            nats, count = nats + float(losses), count + int(scored.sum())
    return nats / count


def _print(seconds: dict[str, list[float]], losses: dict[str, float]) -> None:
    reference = statistics.median(seconds["nanoGPT"])
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads,"
        f" Python {platform.python_version()}, torch {torch.__version__}, gptkit {gptkit.__version__}"
    )
    print(
        "\n| program | seconds, whole process (min, median, max) | nanoGPT's / its | full-split loss |"
    )
    print("|---|---|---|---|")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"| {name} | {min(values):.1f}, {median:.1f}, {max(values):.1f}"
            f" | {reference / median:.2f}x | {losses[name]:.4f} |"
        )


if __name__ == "__main__":
    main()
