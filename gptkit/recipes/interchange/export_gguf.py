"""gptkit export gguf: a run as a file for llama.cpp, proved by llama.cpp."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from gptkit.interchange.extras import why_missing
from gptkit.interchange.gguf import (
    gguf_architecture,
    require_gguf,
    rounded_weights,
    write_gguf,
)
from gptkit.interchange.gguf_proof import TOLERANCES, read_back, with_llama_cpp
from gptkit.interchange.gguf_tokenizer import tokenizer_keys
from gptkit.interchange.proof import Comparison, require
from gptkit.model import GPT
from gptkit.recipes.interchange.folder import beside, check_out, file_of, publish
from gptkit.recipes.interchange.source import Exported, load_exported
from gptkit.recipes.interchange.table import print_proof
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run


def run(exported: Exported, out: Path, *, number_type: str, verify: bool) -> None:
    """Write the file `out` and print the proof. number_type: f32, f16, bf16 or q8_0.

    Raises: ConfigError, CheckpointError; ProofError when llama.cpp makes something else of it.
    """
    out = file_of(out, "model.gguf")
    check_out(out)
    require_gguf()
    loaded = load_exported(exported)
    architecture = gguf_architecture(loaded.config.model)
    tokenizer_keys(loaded.tokenizer)
    with beside(out) as folder:
        if not verify:
            made = _write(folder, out.name, loaded, number_type)
        else:
            comparisons: list[Comparison] = []
            # 0.1 would hide a mistake that 0.01 shows: what is rounded so much is proved in float32 first.
            is_coarse = TOLERANCES[number_type] > TOLERANCES["f32"]
            for kind in ("f32", number_type) if is_coarse else (number_type,):
                made = _write(folder, out.name, loaded, kind)
                comparisons += _prove(made, loaded, kind)
                require(comparisons)
            print_proof(comparisons)
        publish(made, out)
    say(f"wrote {out}: {architecture.model_type}, {number_type.upper()}")


def _write(folder: Path, name: str, loaded: Run, number_type: str) -> Path:
    made = folder / name
    write_gguf(
        made,
        loaded.config.model,
        loaded.model.state_dict(),
        loaded.tokenizer,
        number_type=number_type,
        name=loaded.run_dir.absolute().name,
    )
    return made


def _prove(made: Path, loaded: Run, number_type: str) -> list[Comparison]:
    model: GPT = deepcopy(loaded.model)
    model.load_state_dict(rounded_weights(loaded.model.state_dict(), number_type))
    comparisons = read_back(made, model, loaded.tokenizer)
    proved = with_llama_cpp(made, model, loaded.tokenizer, tolerance=TOLERANCES[number_type])
    if proved is None:
        why = why_missing("xllamacpp", apart=True)
        say(
            f"warning: xllamacpp {why} (pip install 'gptkit[llama]'): the file was read back, but it was"
            " not proved that llama.cpp computes the same from it"
        )
    return comparisons + [
        Comparison(f"{c.what}, {number_type.upper()}", c.count, c.largest, c.allowed)
        for c in proved or []
    ]
