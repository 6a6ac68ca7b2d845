"""What weights of eight bits cost in quality: bits per byte of a text, by precision.

    python benchmarks/int8_quality.py runs/quickstart some_text.txt

Every token but the first is scored once. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gptkit
from gptkit.data.batches import EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.runtime.runtime import Runtime
from gptkit.training.evaluate import evaluate


def main() -> None:
    """Evaluate one checkpoint in three precisions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path)
    parser.add_argument("text", type=Path)
    options = parser.parse_args()
    exact = None
    print("| weights | bits per byte | more than float32 |")
    print("|---|---:|---:|")
    for dtype in ("float32", "bfloat16", "int8"):
        run = gptkit.load(options.run, dtype=dtype)
        ids = run.tokenizer.encode_array(options.text.read_text(encoding="utf-8"))
        windows = EvaluationWindows(
            InMemoryTokens(ids, np.array([0])), run.config.model.context_length
        )
        runtime = Runtime(device=run.model.token_embedding.weight.device)
        evaluation = evaluate(run.model, windows, runtime, run.tokenizer.token_bytes())
        assert evaluation is not None and evaluation.bits_per_byte is not None
        found = evaluation.bits_per_byte
        exact = exact or found
        print(f"| {dtype} | {found:.5f} | {100 * (found / exact - 1):+.3f} % |", flush=True)


if __name__ == "__main__":
    main()
