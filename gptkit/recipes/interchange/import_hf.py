"""gptkit import hf: a model of Hugging Face's layout as a run folder, proved against transformers."""

from __future__ import annotations

import re
from pathlib import Path

from gptkit.checkpoint import point
from gptkit.checkpoint.store import CONFIG_NAME, Contents, save
from gptkit.config import RunConfig, dump_config
from gptkit.data.config import DataConfig
from gptkit.data.sources import ImportedConfig
from gptkit.errors import ConfigError, DataError
from gptkit.interchange.extras import why_missing
from gptkit.interchange.hf import Model, read_folder
from gptkit.interchange.hf_proof import against_original
from gptkit.interchange.proof import require
from gptkit.interchange.tokenizer_import import bytes_only
from gptkit.model import GPT
from gptkit.recipes.interchange.hub import from_hub
from gptkit.recipes.interchange.table import print_proof
from gptkit.recipes.journal import say
from gptkit.runs import hold_run, holds_run, make_run_dir, new_run_dir, start_run
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.config import TiktokenConfig
from gptkit.tokenizers.published import train as published

_GPT2_VOCABULARY = 50_257


def run(name: str, out: Path | None, *, verify: bool) -> None:
    """Make a run folder of the model in a folder, a file or on the hub, and print the proof.

    Raises: ConfigError for a model that gptkit cannot be; ProofError when transformers computes
        something else from the original.
    """
    if out is not None and holds_run(out):
        raise ConfigError(f"--out {out}: holds a run already; give another folder")
    path = Path(name) if Path(name).exists() else from_hub(name)
    found = read_folder(path, warn=lambda text: say(f"warning: {text}"))
    tokenizer = found.tokenizer or _missing_tokenizer(found)
    model = GPT(found.config, found.vocab_size)
    model.load_state_dict(dict(found.weights))
    if verify:
        _prove(path, model.eval(), tokenizer, has_tokenizer=found.tokenizer is not None)
    run_dir = out or new_run_dir(_run_name(name))
    make_run_dir(run_dir)
    with hold_run(run_dir, warn=say):
        _save(run_dir, found, tokenizer)
    say(
        f"wrote {run_dir}: {model.num_parameters():,} parameters, {tokenizer.kind} tokenizer of"
        f" {tokenizer.vocab_size:,}"
    )
    say(
        f"next:\n  gptkit sample {run_dir}\n  gptkit eval {run_dir} --data my.txt\n"
        f"  gptkit train my.yaml --set model.init_from={run_dir}"
    )


def _prove(path: Path, model: GPT, tokenizer: Tokenizer, *, has_tokenizer: bool) -> None:
    folder = path if path.is_dir() else path.parent
    missing = why_missing("transformers")
    why = f"transformers {missing} (pip install 'gptkit[hf]')" if missing else None
    if path.is_file() and path.name != "model.safetensors":
        why = "transformers loads folders, not single files"
    if why is not None:
        say(f"warning: {why}: every tensor was used once, but the outputs were not compared")
        return
    comparisons = against_original(folder, model, tokenizer if has_tokenizer else None)
    require(comparisons, what="import")
    print_proof(comparisons)


def _missing_tokenizer(found: Model) -> Tokenizer:
    """Return GPT-2's published tokenizer for a model of its size, where it can be had; else bytes."""
    if found.vocab_size == _GPT2_VOCABULARY:
        try:
            return published(
                TiktokenConfig(encoding="gpt2"), tuple, total_bytes=0, progress=lambda done: None
            )
        except DataError:
            pass
    tokenizer = bytes_only(found.vocab_size, found.end_of_text)
    say(
        "warning: there is no tokenizer (tokenizer.json, or vocab.json and merges.txt) with the model, so"
        " text is read byte by byte: a model that was trained on longer tokens will make no sense of it"
    )
    return tokenizer


def _run_name(name: str) -> str:
    """Return the folder name of the run: that of the model, in characters every system takes."""
    path = Path(name).absolute()
    stem = path.parent.name if path.is_file() else path.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "imported"


def _save(run_dir: Path, found: Model, tokenizer: Tokenizer) -> None:
    config = RunConfig(data=DataConfig(source=ImportedConfig()), model=found.config)
    text = dump_config(config)
    contents = Contents(config=text, tokenizer=tokenizer, weights=found.weights)
    checkpoint = save(run_dir, 0, contents)
    for pointer in ("last", "best"):
        point(run_dir, pointer, checkpoint)
    (run_dir / CONFIG_NAME).write_text(text, encoding="utf-8", newline="\n")
    start_run(run_dir)
