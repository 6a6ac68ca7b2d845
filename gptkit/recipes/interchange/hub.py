"""A model of the Hugging Face hub by its name, such as openai-community/gpt2."""

from __future__ import annotations

import re
from pathlib import Path

from gptkit.errors import ConfigError

# A name, or an owner and a name; what else a user types is a path that does not exist.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# No code, no pickles, no other framework's weights.
_FILES = ["*.safetensors", "*.json", "merges.txt", "chat_template.jinja", "tokenizer.model"]


def from_hub(name: str) -> Path:
    """Return the folder of a model of the hub, fetched unless it is cached.

    HF_ENDPOINT and HF_HOME mean what they mean to huggingface_hub.

    Raises: ConfigError for a path that does not exist, and where the model cannot be had.
    """
    missing = f"'{name}' does not exist"
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ConfigError(missing)
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError(
            f"{missing}; as the name of a model on the hub it needs the package huggingface_hub:"
            " pip install 'gptkit[hf]'"
        ) from None
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_FILES))
    except Exception as error:  # its network and its own errors have no common base
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ConfigError(
            f"{missing} here, and cannot be fetched from the hub: {reason}\nwithout a network, copy the"
            " model's folder (config.json, *.safetensors, tokenizer.json) here and name the folder;"
            " HF_ENDPOINT names another hub"
        ) from None
