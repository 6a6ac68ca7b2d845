"""What can be known of a run before torch is imported: whether it can work, and how much text it needs."""

from __future__ import annotations

from pathlib import Path

from gptkit.config import RunConfig
from gptkit.data.prepare import check_data
from gptkit.data.sources import ConversationsConfig
from gptkit.dial import open_keys
from gptkit.loggers.config import check_installed
from gptkit.runs import resolve
from gptkit.tokenizers.config import TiktokenConfig
from gptkit.tokenizers.published import check as check_published


def check(config: RunConfig, *, devices: int = 1) -> None:
    """Find what cannot work, without torch and without writing anything.

    Raises: ConfigError.
    """
    if "training.batch_size" not in open_keys(config):
        config.training.accumulation(devices)
    check_data(config.data)
    if isinstance(config.data.tokenizer, TiktokenConfig):
        check_published(config.data.tokenizer)
    for logger in config.loggers:
        check_installed(logger)
    if config.model.init_from is not None:
        resolve(Path(config.model.init_from))


def min_train_tokens(config: RunConfig) -> int:
    """Return how many tokens the training split needs: those of a window and the one after it."""
    any_length = isinstance(config.data.source, ConversationsConfig)
    any_length = any_length or "model.context_length" in open_keys(config)
    return 2 if any_length else config.model.context_length + 1
