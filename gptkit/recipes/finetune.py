"""gptkit finetune: gptkit train, of a model that was trained before, on conversations."""

from __future__ import annotations

from gptkit.config import RunConfig
from gptkit.data.sources import ConversationsConfig
from gptkit.errors import ConfigError


def check_finetune(config: RunConfig) -> None:
    """Make sure that there is a model to begin with, and conversations to learn from.

    Raises: ConfigError.
    """
    problems = []
    if config.model.init_from is None:
        problems.append(
            "model.init_from: is missing: the run, checkpoint or imported model to fine-tune"
        )
    if not isinstance(config.data.source, ConversationsConfig):
        problems.append(
            "data.source: must be conversations: {name: chat, paths: [my.jsonl]}, or preference;"
            " gptkit train goes on with plain text"
        )
    if problems:
        raise ConfigError("\n".join(problems))
