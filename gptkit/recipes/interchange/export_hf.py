"""gptkit export hf: a run as a folder that transformers loads, proved by loading it."""

from __future__ import annotations

from pathlib import Path, PurePath

from gptkit import __version__
from gptkit.config import RunConfig
from gptkit.config.yaml12 import write_yaml
from gptkit.data.sources import ImportedConfig
from gptkit.data.sources.source import source_place
from gptkit.interchange.architectures import choose_architecture
from gptkit.interchange.chat import chat_format
from gptkit.interchange.extras import why_missing
from gptkit.interchange.hf import DTYPES, write_folder
from gptkit.interchange.hf_proof import read_back, with_transformers
from gptkit.interchange.model_card import CardFacts, model_card
from gptkit.interchange.proof import require
from gptkit.interchange.vllm import vllm_notes
from gptkit.recipes.interchange.folder import beside, check_out, publish
from gptkit.recipes.interchange.source import Exported, load_exported, rounded
from gptkit.recipes.interchange.table import print_proof
from gptkit.recipes.journal import say
from gptkit.recipes.load import Run
from gptkit.training.objective_config import DPOConfig


def run(exported: Exported, out: Path, *, dtype: str, verify: bool) -> None:
    """Write the folder `out` and print the proof.

    Raises: ConfigError, CheckpointError; ProofError when transformers makes something else of it.
    """
    check_out(out)
    loaded = load_exported(exported)
    config = loaded.config.model
    architecture = choose_architecture(config)
    model = rounded(loaded.model, DTYPES[dtype])
    with beside(out) as folder:
        made = folder / "model"
        made.mkdir()
        write_folder(
            made,
            config,
            model.state_dict(),
            loaded.tokenizer,
            dtype=dtype,
            card=model_card(_facts(loaded, architecture.class_name, dtype)),
        )
        if verify:
            comparisons = read_back(made, model, loaded.tokenizer)
            proved = with_transformers(made, model, loaded.tokenizer)
            comparisons += proved or []
            require(comparisons)
            print_proof(comparisons)
            if proved is None:
                say(
                    f"warning: transformers {why_missing('transformers')} (pip install 'gptkit[hf]'): the files"
                    " were checked, but not that transformers computes the same from them"
                )
        publish(made, out)
    for note in vllm_notes(architecture, config):
        say(f"note: {note}")
    say(f"wrote {out}: {architecture.class_name}, {dtype}")


def _facts(loaded: Run, class_name: str, dtype: str) -> CardFacts:
    row = next((r for r in loaded.metrics if r["step"] == loaded.step and "val_loss" in r), {})
    of_pairs = isinstance(loaded.config.objective, DPOConfig)
    figures = {
        name: value
        for key, name in (
            ("val_loss", f"validation loss, nats per {'pair' if of_pairs else 'token'}"),
            ("val_bits_per_byte", "validation bits per byte"),
        )
        if isinstance(value := row.get(key), float)
    }
    return CardFacts(
        name=loaded.run_dir.absolute().name,
        version=__version__,
        class_name=class_name,
        parameters=loaded.model.num_parameters(),
        dtype=dtype,
        context_length=loaded.config.model.context_length,
        vocab_size=loaded.tokenizer.vocab_size,
        tokenizer=loaded.tokenizer.kind,
        chats=chat_format(loaded.tokenizer) is not None,
        data=_learned_from(loaded.config),
        step=loaded.step,
        metrics=figures,
        config=_public_settings(loaded.config),
    )


def _learned_from(config: RunConfig) -> str:
    """Return what the weights learned from, as far as the run knows."""
    source = config.data.source
    if isinstance(source, ImportedConfig):
        return "not known here, the weights were imported"
    places = source_place(source).split(", ")
    names = ", ".join(PurePath(place).name for place in places)
    began = ", from the weights of another model on" if config.model.init_from else ""
    return f"{names} (source `{source.model_dump()['name']}`){began}"


def _public_settings(config: RunConfig) -> str:
    """Return the settings as YAML, without what says where somebody's files are."""
    values = config.model_dump(mode="json", exclude={"run_dir", "loggers", "plugins", "runtime"})
    del values["data"]["source"], values["model"]["init_from"]
    values["data"]["tokenizer"].pop("path", None)
    return write_yaml(values)
