"""Which text is learned from and which is held out.

A text of one document is cut: training first, then validation, then test. Among many documents
each goes to a split by a hash of its beginning, so that a corpus that grows or is put in another
order keeps its splits, and equal documents never part. Where that comes out far from the shares
asked for (few documents, or one giant among them), the whole is cut like one text. Conversations
are never cut: the last ones are held out then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from gptkit.data.pieces import Piece

SPLITS = ("train", "val", "test")
_BEGINNING = 1024
"""Characters of a document that decide its split."""


class SplitRule(Protocol):
    """A way to divide the pieces of a text among the splits."""

    @property
    def name(self) -> str:
        """Name of the rule in the manifest."""

    def assign(self, pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
        """Yield every piece, or its parts, with the name of its split."""

    def train_characters(self, by_document: Mapping[str, int]) -> int:
        """Return the length of the training split.

        by_document: characters that `DocumentRule` gives each split.
        """


@dataclass(frozen=True)
class TailRule:
    """Cut the text at two characters: training | validation | test."""

    name: ClassVar[str] = "tail"

    val_start: int
    test_start: int
    num_characters: int

    @classmethod
    def of(cls, num_characters: int, val_fraction: float, test_fraction: float) -> TailRule:
        """Return the rule for a text of that many characters.

        >>> TailRule.of(1_115_394, 0.1, 0.0).val_start
        1003854
        """
        val_start = int(num_characters * (1 - val_fraction - test_fraction))
        # Without a test split no character may be left over for it by rounding.
        test_start = int(num_characters * (1 - test_fraction)) if test_fraction else num_characters
        return cls(val_start, test_start, num_characters)

    def assign(self, pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
        ends = dict(
            zip(SPLITS, (self.val_start, self.test_start, self.num_characters), strict=True)
        )
        position = 0
        fresh = set(SPLITS)
        for piece in pieces:
            text, starts_document = piece
            for split, end in ends.items():
                part, text = text[: max(0, end - position)], text[max(0, end - position) :]
                position += len(part)
                if part:
                    yield split, Piece(part, starts_document or split in fresh)
                    starts_document = False
                    fresh.discard(split)

    def train_characters(self, by_document: Mapping[str, int]) -> int:
        return self.val_start


@dataclass(frozen=True)
class DocumentRule:
    """Give each document to a split by a hash of its beginning."""

    name: ClassVar[str] = "documents"

    val_fraction: float
    test_fraction: float

    def split_of(self, beginning: str) -> str:
        """Return the split of the document that begins so."""
        digest = hashlib.sha256(beginning[:_BEGINNING].encode()).digest()
        position = int.from_bytes(digest[:8], "little") / 2**64
        if position < self.val_fraction:
            return "val"
        return "test" if position < self.val_fraction + self.test_fraction else "train"

    def assign(self, pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
        split = "train"
        for piece in pieces:
            if piece.starts_document:
                split = self.split_of(piece.text)
            yield split, piece

    def train_characters(self, by_document: Mapping[str, int]) -> int:
        return by_document["train"]


@dataclass(frozen=True)
class LastDocumentsRule:
    """Hold out the last documents, whole: training | validation | test."""

    name: ClassVar[str] = "last documents"

    val_start: int
    test_start: int
    train_share: float

    @classmethod
    def of(cls, num_documents: int, val_fraction: float, test_fraction: float) -> LastDocumentsRule:
        """Return the rule for so many documents; each split that is asked for gets one at least."""
        test = max(1, round(num_documents * test_fraction)) if test_fraction else 0
        val = max(1, round(num_documents * val_fraction)) if val_fraction else 0
        test_start = num_documents - test
        return cls(test_start - val, test_start, 1 - val_fraction - test_fraction)

    def assign(self, pieces: Iterable[Piece]) -> Iterator[tuple[str, Piece]]:
        number = -1
        for piece in pieces:
            number += piece.starts_document
            held_out = "test" if number >= self.test_start else "val"
            yield "train" if number < self.val_start else held_out, piece

    def train_characters(self, by_document: Mapping[str, int]) -> int:
        return round(sum(by_document.values()) * self.train_share)


@dataclass
class Shares:
    """How many characters `DocumentRule` gives each split."""

    rule: DocumentRule
    characters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))

    def watch(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Count the pieces on their way through."""
        for split, piece in self.rule.assign(pieces):
            self.characters[split] += len(piece.text)
            yield piece

    def near(self) -> bool:
        """Return whether no split is off its share by more than a factor of two."""
        total = sum(self.characters.values())
        held_out = {"val": self.rule.val_fraction, "test": self.rule.test_fraction}
        wanted = {"train": 1 - sum(held_out.values()), **held_out}
        return all(
            0.5 * share * total <= self.characters[split] <= 2 * share * total
            for split, share in wanted.items()
        )


def choose_rule(shares: Shares, num_documents: int, *, whole: bool = False) -> SplitRule:
    """Return the rule for a text that was read to its end; whole: no document may be cut."""
    rule = shares.rule
    if num_documents > 1 and shares.near():
        return rule
    if whole:
        return LastDocumentsRule.of(num_documents, rule.val_fraction, rule.test_fraction)
    return TailRule.of(sum(shares.characters.values()), rule.val_fraction, rule.test_fraction)
