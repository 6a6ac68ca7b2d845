"""What has to be done before torch is imported, or can go on meanwhile, where text will be written."""

from __future__ import annotations

from gptkit.generation.native.build import start_building
from gptkit.runtime.process import use_large_pages


def get_ready_to_write() -> None:
    """Ask for large pages, and compile the decode step if this machine has not yet done so."""
    use_large_pages()
    start_building()
