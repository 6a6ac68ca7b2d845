"""Where text comes from.

A source is a section with one method, `documents(utf8)`; what else it may have is in `source.py`.
"""

from gptkit.data.sources.chat import ChatConfig, ConversationsConfig, PreferenceConfig
from gptkit.data.sources.huggingface import HuggingFaceConfig
from gptkit.data.sources.imported import ImportedConfig
from gptkit.data.sources.jsonl import JsonlConfig
from gptkit.data.sources.python_stdlib import PythonStdlibConfig
from gptkit.data.sources.text import TextConfig
from gptkit.data.sources.tokens import TokensConfig
from gptkit.data.sources.url import UrlConfig
from gptkit.section import Choices

__all__ = [
    "SOURCES",
    "ChatConfig",
    "ConversationsConfig",
    "HuggingFaceConfig",
    "ImportedConfig",
    "JsonlConfig",
    "PreferenceConfig",
    "PythonStdlibConfig",
    "TextConfig",
    "TokensConfig",
    "UrlConfig",
]

SOURCES = Choices(
    "source",
    dict.fromkeys(
        (
            TextConfig,
            JsonlConfig,
            PythonStdlibConfig,
            UrlConfig,
            HuggingFaceConfig,
            TokensConfig,
            ImportedConfig,
            ChatConfig,
            PreferenceConfig,
        )
    ),
    default="text",
)
