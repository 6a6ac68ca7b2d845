"""A prepared folder, open for reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gptkit.data.manifest import Manifest, read_manifest
from gptkit.data.shards import TokenFile
from gptkit.data.sources import PreferenceConfig
from gptkit.errors import CheckpointError, DataError
from gptkit.section import section_name
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.store import load_tokenizer, tokenizer_sha256

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Dataset:
    """Tokens in splits, and the tokenizer that made them."""

    folder: Path
    manifest: Manifest
    tokenizer: Tokenizer
    _splits: dict[str, TokenFile]

    @property
    def fingerprint(self) -> str:
        """Hash of what the tokens were made from."""
        return self.manifest.fingerprint

    @property
    def identity(self) -> str:
        """Hash of the tokens themselves: what a resumed run must find again, on any machine."""
        return self.manifest.identity

    @property
    def is_chat(self) -> bool:
        """Whether the documents are conversations, of which only the answers are learned."""
        return self.manifest.is_chat

    @property
    def are_pairs(self) -> bool:
        """Whether the conversations are pairs of answers to the same prompt: chosen, rejected, chosen, ..."""
        return self.manifest.source == section_name(PreferenceConfig)

    def split(self, name: str) -> TokenFile:
        """Return the tokens of "train", "val" or "test".

        Raises: DataError where nothing was held out for it.
        """
        if name not in self._splits or not len(self._splits[name]):
            raise DataError(
                f"there is no {name} split: data.{name}_fraction was 0 when the text was prepared"
            )
        return self._splits[name]


def open_dataset(folder: Path) -> Dataset:
    """Open a prepared folder.

    Raises: DataError where a file is missing, damaged or of another size than the manifest says.
    """
    manifest = read_manifest(folder)
    try:
        tokenizer = load_tokenizer(folder / TOKENIZER)
    except CheckpointError as error:  # its exit code would promise a checkpoint
        raise DataError(str(error)) from error
    if tokenizer_sha256(tokenizer) != manifest.tokenizer.sha256:
        raise DataError(f"{folder / TOKENIZER}: is not the tokenizer that made these tokens")
    dtype = np.dtype(manifest.dtype).newbyteorder("<")
    splits = {
        name: TokenFile(folder, facts.shards, dtype) for name, facts in manifest.splits.items()
    }
    return Dataset(folder, manifest, tokenizer, splits)


@dataclass(frozen=True)
class Lengths:
    """What the splits of a dataset must have at least; place: how a message names the text."""

    place: str
    min_train_tokens: int

    def check(self, manifest: Manifest) -> None:
        """Raise a DataError where a split has fewer tokens than its shortest use needs."""
        self.check_train(manifest.splits["train"].tokens)
        for split, fraction in manifest.held_out.items():
            # A token is scored where another stands before it.
            if fraction > 0 and manifest.splits[split].tokens < 2:
                found = manifest.splits[split].tokens
                raise self._too_short(split, f"{found}", 2, f"raise data.{split}_fraction")

    def check_train(self, num_tokens: int, *, estimate: str = "") -> None:
        """Raise a DataError for too few tokens to train on; estimate: "at most " for a bound."""
        if num_tokens < self.min_train_tokens:
            found = f"{estimate}{num_tokens}"
            raise self._too_short(
                "train", found, self.min_train_tokens, "lower model.context_length"
            )

    def _too_short(self, split: str, found: str, needed: int, cure: str) -> DataError:
        return DataError(
            f"{self.place}: the text is too short: its {split} split has {found} tokens"
            f" and needs {needed} or more; bring more text or {cure}"
        )
