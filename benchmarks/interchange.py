"""The long form of the proofs in tests/interchange: more architectures, more text, a real size.

    python benchmarks/interchange.py                           prints a table
    python benchmarks/interchange.py --only transformers       with another transformers installed

Needs the extras hf, llama and onnx, and no network. Results: benchmarks/interchange.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from interchange_cases import corpus, fuzz, models, train_tokenizer
from torch.nn import functional as F

from gptkit.interchange.gguf import rounded_weights, write_gguf
from gptkit.interchange.gguf_proof import TOLERANCES, ask_llama_cpp, with_llama_cpp
from gptkit.interchange.hf import read_folder, write_folder
from gptkit.interchange.hf_proof import load_with_transformers, logits_of
from gptkit.interchange.onnx import write_onnx
from gptkit.interchange.onnx_proof import with_onnxruntime
from gptkit.interchange.probes import probe_tokens
from gptkit.model import GPT, ModelConfig
from gptkit.tokenizers.patterns import PATTERNS

Row = tuple[str, str, str]
"""What was compared, on how much, the largest difference."""


def transformers_rows(folder: Path) -> Iterator[Row]:
    """Line 1: logits, keys and the way back of 12 architectures."""
    import transformers

    differences: dict[str, float] = {}
    keys = changed = 0
    for i, (model, tokenizer) in enumerate(models()):
        place = folder / f"hf-{i}"
        place.mkdir()
        weights = model.state_dict()
        write_folder(place, model.config, weights, tokenizer, card="")
        loaded, info = load_with_transformers(place)
        keys += sum(len(found) for key, found in info.items() if key.endswith("_keys"))
        tokens = probe_tokens(tokenizer.vocab_size, model.config.context_length)
        difference = float((logits_of(model, tokens) - logits_of(loaded, tokens)).abs().max())
        name = type(loaded).__name__
        differences[name] = max(differences.get(name, 0.0), difference)
        back = read_folder(place)
        changed += sum(not torch.equal(back.weights[n], w) for n, w in weights.items())
        changed += len(back.weights.keys() ^ weights.keys())
    version = f"transformers {transformers.__version__}"
    for name, difference in sorted(differences.items()):
        yield f"{version}: fp32 logits, {name}", "12 architectures", f"{difference:.1e}"
    yield f"{version}: keys missing, unexpected or of another shape", "12 architectures", f"{keys}"
    yield "export, then import: tensors that changed", "12 architectures", f"{changed}"


def llama_rows(folder: Path) -> Iterator[Row]:
    """Line 2: log-probabilities and tokens of llama.cpp."""
    largest = dict.fromkeys(("f32", "f16", "q8_0"), 0.0)
    count = wrong = 0
    texts = fuzz(400) + [corpus()[i * 997 : i * 997 + 200] for i in range(100)]
    for model, tokenizer in models():
        for number_type in largest:
            path = folder / "model.gguf"
            weights = model.state_dict()
            try:
                write_gguf(
                    path, model.config, weights, tokenizer, number_type=number_type, name="x"
                )
            except Exception as error:
                if "cannot be exported to GGUF" not in str(error):
                    raise
                break
            rounded = GPT(model.config, model.vocab_size).eval()
            rounded.load_state_dict(rounded_weights(weights, number_type))
            found = with_llama_cpp(path, rounded, tokenizer, tolerance=TOLERANCES[number_type])
            assert found is not None
            largest[number_type] = max(largest[number_type], found[0].largest)
        else:
            count += 1
            answer = ask_llama_cpp(path, [], texts, tokenizer)
            wrong += sum(
                tokenizer.encode(t) != ids for t, ids in zip(texts, answer["tokens"], strict=True)
            )
    for number_type, difference in largest.items():
        what = f"llama.cpp: top-50 log-probabilities, {number_type.upper()}"
        yield what, f"{count} architectures x 20 prompts", f"{difference:.1e}"
    yield "llama.cpp: texts cut otherwise", f"{count} tokenizers x {len(texts)} texts", f"{wrong}"


def tokenizer_rows(folder: Path) -> Iterator[Row]:
    """Line 3: tokenizer.json on 5 MB of text and 2,000 fuzzed strings."""
    import tokenizers
    import transformers

    text, strings = corpus(), fuzz(2000)
    # As the library is used: by document.
    documents = [text[i : i + 50_000] for i in range(0, len(text), 50_000)]
    for pattern in PATTERNS:
        ours = train_tokenizer(text[:1_000_000], 2000, pattern)
        place = folder / pattern
        place.mkdir()
        config = ModelConfig.model_validate({"n_layer": 1, "n_head": 2, "n_embd": 16})
        model = GPT(config, ours.vocab_size)
        model.init_weights(0)
        write_folder(place, config, model.state_dict(), ours, card="")
        library = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
        auto = transformers.AutoTokenizer.from_pretrained(place)
        readers: dict[str, Callable[[str], list[int]]] = {
            "tokenizers": lambda t, theirs=library: theirs.encode(t).ids,  # type: ignore[misc]
            "AutoTokenizer": lambda t, theirs=auto: theirs(t)["input_ids"],  # type: ignore[misc]
        }
        for name, read in readers.items():
            wrong = sum(ours.encode(t) != read(t) for t in [*documents, *strings])
            what = f"{name}: texts cut otherwise, pattern {pattern}"
            size = f"{len(text.encode()) / 1e6:.1f} MB and {len(strings):,} strings"
            yield what, size, f"{wrong}"


def onnx_rows(folder: Path) -> Iterator[Row]:
    """Line 4: onnxruntime with empty, one-token and chunked pasts."""
    largest: dict[str, float] = {}
    for i, (model, _) in enumerate(models()):
        if i % 3 == 0:
            path = folder / "model.onnx"
            write_onnx(path, model)
            for found in with_onnxruntime(path, model) or []:
                name = found.what.partition(": ")[2]
                largest[name] = max(largest.get(name, 0.0), found.largest)
            path.unlink()
    for name, difference in largest.items():
        yield f"onnxruntime: {name}", "4 architectures", f"{difference:.1e}"


def gpt2_rows(folder: Path) -> Iterator[Row]:
    """Line 5: GPT-2's real size, made by transformers: import, loss, training goes on."""
    import transformers

    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()
    theirs.save_pretrained(folder / "gpt2")
    yield "GPT-2 made by transformers", "parameters", f"{theirs.num_parameters():,}"
    (folder / "my.txt").write_text(corpus()[:2_000], encoding="utf-8")
    gptkit(folder, "import", "hf", "gpt2")
    figures = json.loads(gptkit(folder, "eval", "runs/gpt2", "--data", "my.txt", "--json"))
    expected, count = their_loss(theirs, folder)
    assert figures["tokens"] == count, (figures["tokens"], count)
    difference = abs(figures["loss"] - expected)
    yield "its loss, gptkit and transformers", f"{count:,} tokens", f"{difference:.1e}"
    (folder / "my.yaml").write_text(
        "data: {source: {name: text, paths: [my.txt]}}\n"
        "optimizer: {learning_rate: 1e-4}\nschedule: {name: constant}\n"
        "training: {max_steps: 3, batch_size: 1, log_every: 1, sample_tokens: 0}\n"
        "runtime: {device: cpu, dtype: float32}\n",
        encoding="utf-8",
    )
    gptkit(folder, "train", "my.yaml", "--set", "model.init_from=runs/gpt2")
    lines = (folder / "runs/my/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["train_loss"] for line in lines]
    shown = " -> ".join(f"{loss:.3f}" for loss in losses)
    yield "training goes on: loss by step", "3 steps of 1,024 tokens", shown


@torch.no_grad()
def their_loss(theirs: Any, folder: Path) -> tuple[float, int]:
    """Return transformers' mean loss over disjoint windows, and how many tokens it scores."""
    tokenizer = read_tokenizer(folder)
    tokens = torch.tensor(tokenizer.encode((folder / "my.txt").read_text(encoding="utf-8")))
    if tokenizer.end_of_text is not None:  # gptkit parts documents with it, before and at the end
        end = torch.tensor([tokenizer.end_of_text])
        tokens = torch.cat((end, tokens, end))
    total, count = 0.0, 0
    for start in range(0, len(tokens) - 1, 1024):
        window = tokens[start : start + 1025]
        logits = theirs(window[:-1].unsqueeze(0)).logits[0].double()
        total += float(F.cross_entropy(logits, window[1:], reduction="sum"))
        count += len(window) - 1
    return total / count, count


def read_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of the imported run."""
    from gptkit.tokenizers.store import load_tokenizer

    return load_tokenizer(folder / "runs/gpt2/checkpoints/step_00000000/tokenizer.json")


def gptkit(folder: Path, *arguments: str) -> str:
    """Run a command in a folder and return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "gptkit", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise SystemExit(f"gptkit {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    return done.stdout


PARTS = {
    "transformers": transformers_rows,
    "llama": llama_rows,
    "tokenizer": tokenizer_rows,
    "onnx": onnx_rows,
    "gpt2": gpt2_rows,
}


def main() -> None:
    """Print a row for each comparison as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    only = parser.parse_args().only
    print("| compared | on | largest difference |\n|---|---|---|", flush=True)
    for name, rows in PARTS.items():
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                for row in rows(Path(folder)):
                    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
