"""gptkit prepare: tokenize now, say what there is and where; or remove it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gptkit.config import find_config, parse_override
from gptkit.data.config import DataConfig
from gptkit.data.dataset import Dataset
from gptkit.data.folders import prepared_folder, remove
from gptkit.data.prepare import clear as clear_all
from gptkit.data.prepare import prepare_dataset, prepared_path
from gptkit.data.sources import TokensConfig
from gptkit.errors import ConfigError
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.recipes.train.start import check, min_train_tokens
from gptkit.runtime.interrupt import Interrupt


def run(name: str | None, settings: Sequence[str], *, as_json: bool) -> None:
    """Prepare the data of a config, unless that was done before, and print a report.

    Raises: ConfigError, DataError, Interrupted.
    """
    if name is None:
        raise ConfigError("give a CONFIG to prepare, or --clear")
    config = load_whole_config(find_config(name), [parse_override(text) for text in settings])
    check(config)
    with Interrupt() as interrupt, interrupt.soon():
        dataset = prepare_dataset(
            config.data,
            min_train_tokens=min_train_tokens(config),
            progress=TerminalProgress(interrupt),
        )
    facts = _facts(dataset, config.data)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        _print_report(facts)


def clear(name: str | None, settings: Sequence[str]) -> None:
    """Remove the prepared data of a config, or all of it.

    Raises: ConfigError.
    """
    if name is None:
        removed = clear_all()
    else:
        data = load_whole_config(
            find_config(name), [parse_override(text) for text in settings]
        ).data
        if isinstance(data.source, TokensConfig):
            raise ConfigError(
                f"{data.source.folder()}: is a source of its own, nothing made from one"
            )
        path = prepared_path(data)
        removed = [path] if path.exists() else []
        remove(path)
    for path in removed:
        say(f"removed {path}")
    if not removed:
        say(f"nothing to remove in {prepared_folder()}")


def _facts(dataset: Dataset, data: DataConfig) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "folder": str(dataset.folder),
        "source": manifest.source,
        "text_bytes": manifest.text.bytes,
        "characters": manifest.text.characters,
        "documents": manifest.text.documents,
        "text_sha256": manifest.text.sha256,
        "replaced": manifest.text.replaced,
        "tokenizer": manifest.tokenizer.kind,
        "vocab_size": manifest.tokenizer.vocab_size,
        "split_rule": manifest.split_rule,
        "splits": {
            name: {
                "tokens": split.tokens,
                "bytes": split.bytes,
                "documents": split.documents,
                **({} if split.targets is None else {"learned_tokens": split.targets}),
            }
            for name, split in manifest.splits.items()
            if split.tokens
        },
    }


def _print_report(facts: dict[str, Any]) -> None:
    print(f"in         {facts['folder']}")
    print(
        f"text       {facts['text_bytes']:,} bytes, {facts['characters']:,} characters,"
        f" {facts['documents']:,} documents"
    )
    if facts["replaced"]:
        print(f"replaced   {facts['replaced']:,} U+FFFD for bytes that are not UTF-8")
    print(f"tokenizer  {facts['tokenizer']}, vocabulary {facts['vocab_size']:,}")
    for name, split in facts["splits"].items():
        bytes_per_token = split["bytes"] / split["tokens"]
        print(
            f"{name:<10} {split['tokens']:,} tokens, {split['bytes']:,} bytes"
            f" ({bytes_per_token:.2f} bytes per token), {split['documents']:,} documents"
            + (f", {split['learned_tokens']:,} tokens learned" if "learned_tokens" in split else "")
        )
