"""From a source to a folder of tokens, made once and found again.

    source ─> fingerprint ─> is data/prepared/text-1a2b3c4d5e6f there?  ─ yes ─> open it
                                 no ─> build it beside that place ─> rename ─> open it

What the tokens are made from decides the name of the folder: other text, another folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptkit.data.build import CHANGED, Machine, build_dataset, check_characters, read_corpus
from gptkit.data.config import DataConfig
from gptkit.data.dataset import Dataset, Lengths, open_dataset
from gptkit.data.folders import (
    is_unfinished,
    prepared_folder,
    publish_folder,
    remove,
    unfinished,
)
from gptkit.data.manifest import FORMAT_VERSION, json_sha256
from gptkit.data.progress import Progress, Silent
from gptkit.data.sources import TokensConfig, UrlConfig
from gptkit.data.sources.source import check_source, quick_to_repeat, source_identity, source_place
from gptkit.data.sources.tokens import MANIFEST
from gptkit.data.utf8 import Utf8Policy
from gptkit.errors import DataError
from gptkit.section import Section
from gptkit.tokenizers.config import FileConfig
from gptkit.tokenizers.store import file_identity


def check_data(config: DataConfig) -> None:
    """Say what cannot work, without reading all text and without writing anything.

    Raises: DataError, or ConfigError where an extra is missing.
    """
    check_source(config.source)
    if isinstance(config.tokenizer, FileConfig):
        file_identity(config.tokenizer)


def check_text(config: DataConfig, min_train_tokens: int, progress: Progress | None = None) -> None:
    """Say what cannot work as `check_data` does, and read the text to its end where that is quick.

    Raises: DataError, also for text that is not UTF-8 or too short; nothing is written.
    """
    check_data(config)
    if quick_to_repeat(config.source):
        corpus = read_corpus(config, config.source, progress or Silent())
        lengths = Lengths(source_place(config.source), min_train_tokens)
        check_characters(config, corpus, lengths)


def prepare_dataset(
    config: DataConfig,
    *,
    cache_dir: Path | None = None,
    min_train_tokens: int = 2,
    progress: Progress | None = None,
    machine: Machine = Machine(),
) -> Dataset:
    """Return the tokens that `config` describes, preparing them unless that was done before.

    cache_dir: folder of the prepared datasets; None: `data/prepared`, or where GPTKIT_DATA says.
    min_train_tokens: what one training window needs, context_length + 1.
    Raises: DataError for text that cannot be read or is too short; nothing new is on disk then but
    the file that a `url` named.
    """
    progress = progress or Silent()
    lengths = Lengths(source_place(config.source), min_train_tokens)
    if isinstance(config.source, TokensConfig):
        config.source.check()
        dataset = open_dataset(config.source.folder())
        lengths.check(dataset.manifest)
        return dataset
    check_source(config.source)
    fingerprint = data_fingerprint(config, progress)
    folder = _folder(config, cache_dir or prepared_folder(), fingerprint)
    found = _open_if_usable(folder, fingerprint)
    if found is not None:
        lengths.check(found.manifest)
        return found
    with unfinished(folder) as place:
        place.mkdir(parents=True)
        build_dataset(
            config,
            _readable(config.source, progress),
            place,
            fingerprint=fingerprint,
            lengths=lengths,
            progress=progress,
            machine=machine,
        )
        if quick_to_repeat(config.source) and data_fingerprint(config, progress) != fingerprint:
            raise DataError(f"{source_place(config.source)}: {CHANGED}")
        publish_folder(place, folder, lambda path: _open_if_usable(path, fingerprint) is not None)
    return open_dataset(folder)


def prepared_path(config: DataConfig, cache_dir: Path | None = None) -> Path:
    """Return the folder that `prepare_dataset` opens or makes for `config`.

    Raises: DataError for a source that cannot be read.
    """
    if isinstance(config.source, TokensConfig):
        return config.source.folder()
    fingerprint = data_fingerprint(config, Silent())
    return _folder(config, cache_dir or prepared_folder(), fingerprint)


def clear(cache_dir: Path | None = None) -> list[Path]:
    """Remove all prepared folders, unfinished ones too, and nothing else; return them.

    Raises: DataError for a folder that does not go.
    """
    cache_dir = cache_dir or prepared_folder()
    if not cache_dir.is_dir():
        return []
    folders = [
        path
        for path in sorted(cache_dir.iterdir())
        if is_unfinished(path) or (path / MANIFEST).is_file()
    ]
    for path in folders:
        remove(path)
        if path.exists():
            raise DataError(f"{path}: cannot be removed; is a run using it?")
    return folders


def data_fingerprint(config: DataConfig, progress: Progress) -> str:
    """Return the hash of all that decides which tokens are made: text, settings, format."""
    settings = config.model_dump(mode="json", exclude={"source", "documents"})
    source = config.source
    if isinstance(source, UrlConfig) and source.sha256 is None:
        source = source.fetch(progress)
    identity: dict[str, Any] = source_identity(source, Utf8Policy("replace"))
    name = _name(config)
    if isinstance(config.tokenizer, FileConfig):
        settings["tokenizer"] = file_identity(config.tokenizer)
    return json_sha256({"format": FORMAT_VERSION, "source": {**identity, "name": name}, **settings})


def _readable(source: Section, progress: Progress) -> Section:
    return source.fetch(progress) if isinstance(source, UrlConfig) else source


def _folder(config: DataConfig, cache_dir: Path, fingerprint: str) -> Path:
    return cache_dir / f"{_name(config)}-{fingerprint[:12]}"


def _name(config: DataConfig) -> str:
    return str(config.source.model_dump()["name"])


def _open_if_usable(folder: Path, fingerprint: str) -> Dataset | None:
    """Return the dataset in `folder`, or None where it is missing, damaged or of something else."""
    try:
        dataset = open_dataset(folder)
    except DataError:
        return None
    return dataset if dataset.fingerprint == fingerprint else None
