"""Making a prepared folder: read, divide, make the tokenizer, encode, describe.

Memory holds a few batches of text and tokens, whatever the corpus: it is read once to count and
check it, once for the tokenizer and once to encode it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gptkit import __version__
from gptkit.atomic import sync_file
from gptkit.data.config import DataConfig
from gptkit.data.conversations import chat_tokenizer, encode_conversations, said_texts
from gptkit.data.dataset import TOKENIZER, Lengths
from gptkit.data.encoding import EncodedBatch, encode_pieces, last_token
from gptkit.data.manifest import (
    FORMAT_VERSION,
    Manifest,
    SplitFacts,
    TextSummary,
    TokenizerFacts,
    write_manifest,
)
from gptkit.data.pieces import Piece, Spool, TextFacts, read_pieces
from gptkit.data.progress import Progress
from gptkit.data.shards import SHARD_TOKENS, ShardWriter, token_dtype
from gptkit.data.sources.chat import ConversationsConfig
from gptkit.data.sources.source import as_source, quick_to_repeat, source_bytes, source_place
from gptkit.data.sources.tokens import MANIFEST
from gptkit.data.splits import SPLITS, DocumentRule, Shares, SplitRule, choose_rule
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError, PromptError
from gptkit.section import Section
from gptkit.tokenizers.base import Tokenizer
from gptkit.tokenizers.config import TOKENIZERS, CharConfig, FileConfig
from gptkit.tokenizers.store import save_tokenizer, tokenizer_sha256

_SPOOL = "text"
CHANGED = "the text changed while it was being prepared; run this again when it rests"


@dataclass(frozen=True)
class Corpus:
    """A text that was read to its end once, and can be read again."""

    facts: TextFacts
    replaced: int
    rule: SplitRule
    train_share: float
    """Training characters over all characters."""
    pieces: Callable[[], Iterable[Piece]]

    def assigned(self) -> Iterator[tuple[str, Piece]]:
        """Yield every piece with its split."""
        return self.rule.assign(self.pieces())


@dataclass(frozen=True)
class Machine:
    """What changes how tokens are made, and never which: threads and, in tests, small shards."""

    num_threads: int | None = None
    shard_tokens: int = SHARD_TOKENS


def build_dataset(
    config: DataConfig,
    source: Section,
    folder: Path,
    *,
    fingerprint: str,
    lengths: Lengths,
    progress: Progress,
    machine: Machine = Machine(),
) -> None:
    """Fill an empty folder with the tokens of `source`.

    Raises: DataError for text that cannot be read or is too short.
    """
    # What is slow to read is read once.
    spool = None if quick_to_repeat(source) else Spool(folder / _SPOOL)
    corpus = read_corpus(config, source, progress, spool)
    check_characters(config, corpus, lengths)
    tokenizer = _make_tokenizer(config, corpus, progress)
    save_tokenizer(tokenizer, folder / TOKENIZER)
    splits = _write_splits(config, corpus, tokenizer, folder, progress, machine)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        fingerprint=fingerprint,
        source=config.source.model_dump()["name"],
        text=TextSummary(
            sha256=corpus.facts.sha256,
            bytes=corpus.facts.num_bytes,
            characters=corpus.facts.characters,
            documents=corpus.facts.documents,
            replaced=corpus.replaced,
        ),
        split_rule=corpus.rule.name,
        tokenizer=TokenizerFacts(
            kind=tokenizer.kind,
            vocab_size=tokenizer.vocab_size,
            end_of_text=tokenizer.end_of_text,
            sha256=tokenizer_sha256(tokenizer),
        ),
        held_out={"val": config.val_fraction, "test": config.test_fraction},
        dtype="uint16" if token_dtype(tokenizer.vocab_size).itemsize == 2 else "uint32",
        splits=splits,
        versions={"gptkit": __version__, "python": platform.python_version()},
    )
    lengths.check(manifest)
    write_manifest(manifest, folder)
    (folder / _SPOOL).unlink(missing_ok=True)
    for name in (TOKENIZER, MANIFEST):
        sync_file(folder / name)


def read_corpus(
    config: DataConfig, source: Section, progress: Progress, spool: Spool | None = None
) -> Corpus:
    """Read a source to its end: check it, count it and choose how it is divided.

    spool: keeps the text for the next readings; None: they ask the source again.
    Raises: DataError for text that cannot be read, and where there is none.
    """
    utf8 = Utf8Policy(config.on_bad_utf8)
    pieces = read_pieces(as_source(source), utf8)
    facts = TextFacts()
    shares = Shares(DocumentRule(config.val_fraction, config.test_fraction))
    progress.start("reading", source_bytes(source))
    for piece in shares.watch(pieces if spool is None else spool.fill(pieces)):
        progress.advance(facts.count(piece))
    progress.finish()
    if not facts.documents:
        raise DataError(f"{source_place(source)}: holds no text")

    def again() -> Iterable[Piece]:
        return read_pieces(as_source(source), Utf8Policy(config.on_bad_utf8))

    rule = choose_rule(shares, facts.documents, whole=isinstance(source, ConversationsConfig))
    train = rule.train_characters(shares.characters)
    return Corpus(
        facts, utf8.replaced, rule, train / facts.characters, again if spool is None else spool.read
    )


def _make_tokenizer(config: DataConfig, corpus: Corpus, progress: Progress) -> Tokenizer:
    """Learn from the training split; characters come from all text, so that none is ever unseen."""
    section, source = config.tokenizer, config.source
    whole = isinstance(section, CharConfig)

    def texts() -> Iterator[str]:
        if isinstance(source, ConversationsConfig):
            yield from said_texts(corpus.assigned(), "train", source)
            return
        for split, piece in corpus.assigned():
            if whole or split == "train":
                yield piece.text

    total_bytes = round(corpus.facts.num_bytes * (1.0 if whole else corpus.train_share))
    progress.start("making the tokenizer", total_bytes)
    tokenizer: Tokenizer = TOKENIZERS.build(
        section, texts, total_bytes=total_bytes, progress=progress.advance
    )
    progress.finish()
    return (
        chat_tokenizer(tokenizer, source) if isinstance(source, ConversationsConfig) else tokenizer
    )


def _write_splits(
    config: DataConfig,
    corpus: Corpus,
    tokenizer: Tokenizer,
    folder: Path,
    progress: Progress,
    machine: Machine,
) -> dict[str, SplitFacts]:
    dtype = token_dtype(tokenizer.vocab_size)
    num_bytes = dict.fromkeys(SPLITS, 0)
    progress.start("encoding", corpus.facts.num_bytes)
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(ShardWriter(folder, split, dtype, machine.shard_tokens))
            for split in SPLITS
        }
        try:
            for batch in _encode(config.source, corpus, tokenizer, machine):
                writers[batch.split].append(batch.tokens, batch.document_starts, batch.targets)
                num_bytes[batch.split] += batch.num_bytes
                progress.advance(batch.num_bytes)
        except PromptError as error:
            # A char tokenizer made here has the characters of the first reading; a file's may lack some.
            from_file = isinstance(config.tokenizer, FileConfig)
            raise DataError(f"{error}, from data.tokenizer" if from_file else CHANGED) from error
        is_chat = isinstance(config.source, ConversationsConfig)
        for writer in writers.values():
            # A conversation ends where its template says.
            writer.finish(last_token(tokenizer)[: 0 if is_chat else None])
    progress.finish()
    return {
        split: SplitFacts(
            tokens=writer.num_tokens,
            bytes=num_bytes[split],
            documents=sum(shard.documents for shard in writer.shards),
            shards=tuple(writer.shards),
            targets=writer.num_targets,
        )
        for split, writer in writers.items()
    }


def _encode(
    source: Section, corpus: Corpus, tokenizer: Tokenizer, machine: Machine
) -> Iterator[EncodedBatch]:
    if isinstance(source, ConversationsConfig):
        return encode_conversations(corpus.assigned(), tokenizer, source)
    return encode_pieces(corpus.assigned(), tokenizer, machine.num_threads)


def check_characters(config: DataConfig, corpus: Corpus, lengths: Lengths) -> None:
    """Raise a DataError where so few characters cannot give enough tokens: before the long work."""
    characters = round(corpus.train_share * corpus.facts.characters)
    if isinstance(config.tokenizer, CharConfig):
        lengths.check_train(characters)
        return
    # A token stands for a byte or more, a character for four at most; end-of-text is on top.
    most = 4 * characters + corpus.facts.documents + 1 if characters else 0
    lengths.check_train(most, estimate="at most " if most else "")
