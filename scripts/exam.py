"""The exam: the whole toolkit on languages whose best possible loss is known: python scripts/exam.py [NAME...]

Each language is written to a file, learned by `gptkit train` with the default recipe, and scored by
the checkpoint that comes out; beside it, on the same tokens, the best predictor there is. What the
model loses against it is its regret. A mask that leaks, a wrong position or a shifted target shows
here as a regret below 0 or far above. Exit code 1 where a regret is out of bounds.

`--report PATH` writes the table as Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import (
    Copying,
    Dyck,
    InContextMarkov,
    Language,
    Markov,
    ModularAddition,
)

CONTEXT_LENGTH = 65
"""Odd, and prime to every period here: windows begin at all places of a language."""
_VAL_FRACTION = 0.05
_FIRST_CHARACTER = ord("一")


@dataclass(frozen=True)
class Question:
    """A language, and how near its best predictor a model must come."""

    language: Language
    tolerance: float
    """Nats per token."""
    steps: int
    settings: dict[str, Any] = field(default_factory=dict)
    text_tokens: int = 600_000


QUESTIONS = {
    "markov": Question(Markov(), 0.01, 1200),
    "dyck": Question(Dyck(kinds=2, deepest=4), 0.01, 6000),
    "copy": Question(Copying(), 0.01, 2000),
    "in-context markov": Question(InContextMarkov(), 0.05, 2500),
    "modular addition": Question(ModularAddition(), 0.05, 2000),
}


@dataclass(frozen=True)
class Mark:
    """How a model did."""

    loss: float
    best: float
    """Of the best predictor, on the same tokens."""
    error: float
    """Standard error of the difference."""
    seconds: float

    @property
    def regret(self) -> float:
        """What the model loses, in nats per token; 0 but for luck is the least there is."""
        return self.loss - self.best

    def passes(self, tolerance: float) -> bool:
        """Whether the regret is small, and not smaller than luck allows."""
        return -4 * self.error - 1e-6 <= self.regret <= tolerance


def ask(question: Question, folder: Path, *, settings: dict[str, Any] | None = None) -> Mark:
    """Let a new model learn the language in `folder`, and return how it did."""
    import gptkit

    start = time.monotonic()
    config = _write_project(question, folder)
    chosen = {
        "training.max_steps": question.steps,
        "training.eval_every": question.steps,
        "training.save_every": question.steps,
        **question.settings,
        **(settings or {}),
    }
    run = gptkit.train(config, set=chosen, run_dir=folder / "run")
    seconds = time.monotonic() - start
    found, best = _scores(run, question.language)
    difference = found - best
    error = float(difference.std() / np.sqrt(difference.size))
    return Mark(float(found.mean()), float(best.mean()), error, seconds)


def _write_project(question: Question, folder: Path) -> Path:
    tokens = question.language.text(question.text_tokens, np.random.default_rng(7))
    text = "".join(chr(_FIRST_CHARACTER + token) for token in tokens.tolist())
    (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
    config = folder / "exam.yaml"
    config.write_text(
        f"""\
data:
  source: {{name: text, paths: ['{(folder / "text.txt").as_posix()}']}}
  tokenizer: {{name: char}}
  val_fraction: {_VAL_FRACTION}
model: {{n_layer: 2, n_head: 2, n_embd: 64, context_length: {CONTEXT_LENGTH}}}
optimizer: {{learning_rate: 2e-3}}
training: {{batch_size: 32, sample_tokens: 0, log_every: 200}}
""",
        encoding="utf-8",
    )
    return config


def _scores(run: Any, language: Language) -> tuple[np.ndarray, np.ndarray]:
    """Return nats of the same validation tokens: of the model and of the best predictor."""
    import torch

    from gptkit.data.batches import EvaluationWindows
    from gptkit.data.prepare import prepare_dataset
    from gptkit.insight.scores import score_tokens
    from gptkit.runtime.runtime import Runtime

    val = prepare_dataset(run.config.data).split("val")
    num_windows = (len(val) - 1) // CONTEXT_LENGTH
    found = score_tokens(
        run.model, EvaluationWindows(val, CONTEXT_LENGTH), Runtime(torch.device("cpu"))
    )
    ids = val.window(0, len(val))
    # The character tokenizer numbers the characters it met, in their order.
    characters = np.array([ord(char) - _FIRST_CHARACTER for char in run.tokenizer.decode(ids)])
    starts = CONTEXT_LENGTH * np.arange(num_windows)[:, None]
    windows = characters[starts + np.arange(CONTEXT_LENGTH + 1)]
    best = language.nats(windows)
    return found.nats[: best.size], best.reshape(-1)


def main() -> None:
    """Ask and print; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(QUESTIONS))
    parser.add_argument("--report", type=Path, help="write the table to this Markdown file")
    args = parser.parse_args()
    lines = [
        "| language | loss | best possible | regret | allowed | seconds | |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    passed = True
    for name in args.names or QUESTIONS:
        question = QUESTIONS[name]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GPTKIT_DATA"] = str(Path(folder) / "data")
            mark = ask(question, Path(folder))
        good = mark.passes(question.tolerance)
        passed &= good
        lines.append(
            f"| {name} | {mark.loss:.4f} | {mark.best:.4f} | {mark.regret:.4f} ± {mark.error:.4f}"
            f" | {question.tolerance} | {mark.seconds:.0f} | {'passed' if good else 'failed'} |"
        )
        print(lines[-1], flush=True)
    table = "\n".join(lines)
    if args.report is not None:
        args.report.write_text(f"# The exam\n\n{table}\n", encoding="utf-8")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
