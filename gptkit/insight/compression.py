"""What general compressors make of a text: they know no language and learn it as they go."""

from __future__ import annotations

import lzma
import sys
from collections.abc import Callable
from importlib import import_module
from typing import cast

from gptkit.errors import ConfigError

ZSTD_LEVEL = 19


def xz_bytes(data: bytes) -> int:
    """Return the size of `data` after `xz -9e`."""
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def zstd_bytes(data: bytes) -> int:
    """Return the size of `data` after `zstd -19`.

    Raises: ConfigError where no zstd is installed.
    """
    return len(_zstd()(data))


def _zstd() -> Callable[[bytes], bytes]:
    if sys.version_info >= (3, 14):
        compress = import_module("compression.zstd").compress
        return lambda data: cast(bytes, compress(data, ZSTD_LEVEL))
    try:
        import zstandard
    except ImportError as error:
        raise ConfigError(
            "zstd is not installed: pip install 'gptkit[zstd]' (or Python 3.14, which has it)"
        ) from error
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress
