"""gptkit prepare: tokenize now, say what there is and where; or remove it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from gptkit.atomic import write_text
from gptkit.config import find_config, parse_override
from gptkit.data.dataset import Dataset
from gptkit.data.folders import prepared_folder, remove
from gptkit.data.prepare import clear as clear_all
from gptkit.data.prepare import prepare_dataset, prepared_path
from gptkit.data.sources import TokensConfig
from gptkit.errors import ConfigError
from gptkit.insight.text_facts import SplitText, TextFacts, text_facts
from gptkit.recipes.journal import TerminalProgress, say
from gptkit.recipes.train.check import check, min_train_tokens
from gptkit.recipes.train.inherit import load_whole_config
from gptkit.runtime.interrupt import Interrupt

_REPORT = "report.json"
_REPORT_VERSION = 1
"""Raised when the same tokens would give another report."""


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
    text = text_report(dataset, context_length=config.model.context_length)
    if as_json:
        print(json.dumps(_facts(dataset, text), ensure_ascii=False))
    else:
        _print_report(dataset, text)


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


def text_report(dataset: Dataset, *, context_length: int) -> TextFacts:
    """Return what stands in prepared data; found once, then read from the file beside it."""
    path = dataset.folder / _REPORT
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["asked"] == [_REPORT_VERSION, context_length]:
            splits = tuple(SplitText(**split) for split in kept["facts"].pop("splits"))
            warnings = tuple(kept["facts"].pop("warnings"))
            return TextFacts(**kept["facts"], splits=splits, warnings=warnings)
    facts = text_facts(dataset, context_length=context_length)
    kept = {"asked": [_REPORT_VERSION, context_length], "facts": asdict(facts)}
    with suppress(OSError):  # a folder that may only be read
        write_text(path, json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
    return facts


def _facts(dataset: Dataset, text: TextFacts) -> dict[str, Any]:
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
            split.name: asdict(split) | _learned(dataset, split.name) for split in text.splits
        },
        "overlap": text.overlap,
        "controls": text.controls,
        "lost_characters": text.replaced,
        "damaged": text.damaged,
        "rare_characters": text.rare_characters,
        "examined_bytes": text.examined_bytes,
        "warnings": list(text.warnings),
    }


def _learned(dataset: Dataset, split: str) -> dict[str, int]:
    """Return how many tokens of conversations are learned from; of other text all are."""
    targets = dataset.manifest.splits[split].targets
    return {} if targets is None else {"learned_tokens": targets}


def _print_report(dataset: Dataset, text: TextFacts) -> None:
    manifest = dataset.manifest
    print(f"in         {dataset.folder}")
    print(
        f"text       {manifest.text.bytes:,} bytes, {manifest.text.characters:,} characters,"
        f" {manifest.text.documents:,} documents"
    )
    if manifest.text.replaced:
        print(f"replaced   {manifest.text.replaced:,} U+FFFD for bytes that are not UTF-8")
    print(f"tokenizer  {manifest.tokenizer.kind}, vocabulary {manifest.tokenizer.vocab_size:,}")
    for split in text.splits:
        print(
            f"{split.name:<10} {split.tokens:,} tokens, {split.bytes:,} bytes"
            f" ({split.bytes_per_token:.2f} bytes per token), {split.documents:,} documents,"
            f" {split.windows:,} contexts; {split.used_tokens:,} of {text.vocab_size:,} ids used"
            + "".join(f", {n:,} tokens learned" for n in _learned(dataset, split.name).values())
        )
    for name, share in text.overlap.items():
        print(f"overlap    {share:.2%} of {name} stands word for word in train")
    print(
        f"characters {text.rare_characters:,} different ones come once or twice in train;"
        f" {sum(text.controls.values()):,} control or invisible"
    )
    if text.examined_bytes < sum(split.bytes for split in text.splits):
        print(f"looked at  the first {text.examined_bytes:,} bytes of it")
    for warning in text.warnings:
        print(f"look at    {warning}")
