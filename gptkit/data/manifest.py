"""manifest.json: what a prepared folder holds and what it was made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from gptkit.data.files import open_binary
from gptkit.data.sources.tokens import MANIFEST
from gptkit.errors import DataError
from gptkit.section import NonNegativeInt, PositiveInt, Probability, Section

FORMAT_VERSION: Literal[1] = 1
"""Raised when the same text and settings would give other files."""


class ShardFacts(Section):
    """One file of tokens."""

    file: str
    documents_file: str
    tokens: PositiveInt
    documents: NonNegativeInt
    sha256: str
    targets_file: str | None = None
    """A bit a token, in conversations: whether it is learned."""
    targets_sha256: str | None = None


class SplitFacts(Section):
    """One split; `bytes` are those of its text as UTF-8, special tokens standing for none."""

    tokens: NonNegativeInt
    bytes: NonNegativeInt
    documents: NonNegativeInt
    shards: tuple[ShardFacts, ...]
    targets: NonNegativeInt | None = None
    """Tokens that are learned, in conversations; None: a split of plain text."""


class TextSummary(Section):
    """The whole text."""

    sha256: str
    bytes: int
    characters: int
    documents: int
    replaced: int
    """U+FFFD put in the place of bytes that were not UTF-8."""


class TokenizerFacts(Section):
    """The tokenizer in tokenizer.json."""

    kind: str
    vocab_size: int
    end_of_text: int | None
    sha256: str


class Manifest(Section):
    """A prepared folder."""

    format_version: Literal[1]
    fingerprint: str
    """Hash of what the tokens were made from; another one means: prepare again."""
    source: str
    """Name of the source."""
    text: TextSummary
    split_rule: str
    """tail: cut at two characters; documents: each to the split that its beginning hashes to."""
    tokenizer: TokenizerFacts
    held_out: dict[str, Probability]
    """The share asked for by split: val and test."""
    dtype: Literal["uint16", "uint32"]
    splits: dict[str, SplitFacts]
    versions: dict[str, str]

    @property
    def is_chat(self) -> bool:
        """Whether the documents are conversations, of which only the answers are learned."""
        return any(split.targets is not None for split in self.splits.values())

    @property
    def identity(self) -> str:
        """Hash of what a model learns from, wherever it came from: tokens, documents, tokenizer."""
        # What plain text has not got leaves its hash as it always was.
        splits = {
            name: split.model_dump(mode="json", exclude_none=True)
            for name, split in self.splits.items()
        }
        return json_sha256(
            {"dtype": self.dtype, "tokenizer": self.tokenizer.sha256, "splits": splits}
        )


def json_sha256(facts: Any) -> str:
    """Return the hash of JSON facts, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write manifest.json, the same bytes for the same facts."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_bytes(text.encode() + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a prepared folder.

    Raises: DataError where there is none, or one of another version, or a damaged one.
    """
    path = folder / MANIFEST
    with open_binary(path) as file:
        data = file.read()
    try:
        facts = json.loads(data)
    except ValueError as error:
        raise DataError(f"{path}: is damaged ({error})") from error
    version = facts.get("format_version") if isinstance(facts, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: has format_version {version}, and this gptkit reads {FORMAT_VERSION};"
            " prepare the text again"
        )
    try:
        return Manifest.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: is damaged ({place}: {first['msg']})") from error
