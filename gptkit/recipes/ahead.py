"""What has to be done before torch is imported, or can go on meanwhile."""

from __future__ import annotations

from gptkit.generation.native import STEP
from gptkit.model.native import PARTS
from gptkit.native.build import start_building
from gptkit.runtime.process import use_large_pages


def get_ready_to_train() -> None:
    """Compile what this machine has not yet compiled: parts for the first step, the decode step for samples."""
    start_building(PARTS)
    start_building(STEP, gently=True)


def get_ready_to_write() -> None:
    """Ask for large pages, and compile what this machine has not yet compiled."""
    use_large_pages()
    start_building(STEP)
    start_building(PARTS)
