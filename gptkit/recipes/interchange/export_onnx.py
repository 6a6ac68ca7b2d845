"""gptkit export onnx: a run as a graph with cache inputs, proved by onnxruntime."""

from __future__ import annotations

from pathlib import Path

from gptkit.interchange.extras import why_missing
from gptkit.interchange.onnx import check_onnx, write_onnx
from gptkit.interchange.onnx_proof import check_form, with_onnxruntime
from gptkit.interchange.proof import require
from gptkit.recipes.interchange.folder import beside, check_out, file_of, publish
from gptkit.recipes.interchange.source import Exported, load_exported
from gptkit.recipes.interchange.table import print_proof
from gptkit.recipes.journal import say


def run(exported: Exported, out: Path, *, verify: bool) -> None:
    """Write the file `out` and print the proof.

    Raises: ConfigError, CheckpointError; ProofError when onnxruntime makes something else of it.
    """
    out = file_of(out, "model.onnx")
    check_out(out)
    loaded = load_exported(exported)
    check_onnx(loaded.config.model)
    with beside(out) as folder:
        made = folder / out.name
        say("writing the graph takes some seconds")
        write_onnx(made, loaded.model)
        if verify:
            comparisons = check_form(made)
            proved = with_onnxruntime(made, loaded.model)
            comparisons += proved or []
            require(comparisons)
            print_proof(comparisons)
            if proved is None:
                say(
                    f"warning: onnxruntime {why_missing('onnxruntime')} (pip install 'gptkit[onnx]'): the"
                    " graph is well-formed, but it was not proved that it computes the same"
                )
        # The weights of a large model are in a second file, which must be there first.
        for file in sorted(folder.iterdir(), key=lambda path: path == made):
            publish(file, out.with_name(file.name))
    say(f"wrote {out}: float32, with the tokenizer of `gptkit export hf`")
