"""Checkpoint folders: written complete or not at all, verified byte for byte, never unpickled.

What is imported here needs no torch; `gptkit.checkpoint.store` turns tensors into files and back.
"""

from gptkit.checkpoint.folder import SaveError, require_space
from gptkit.checkpoint.names import step_name, step_of
from gptkit.checkpoint.pointers import point, pointed
from gptkit.checkpoint.retention import Retention
from gptkit.checkpoint.search import (
    CheckpointEntry,
    Found,
    abandon_newer,
    best_verified,
    checkpoints,
    list_one,
    newest_usable,
    newest_verified,
    not_usable,
    saved_step,
)
from gptkit.checkpoint.verify import Examination, FileState, verify
from gptkit.checkpoint.writer import BackgroundWriter

__all__ = [
    "BackgroundWriter",
    "CheckpointEntry",
    "Examination",
    "FileState",
    "Found",
    "Retention",
    "SaveError",
    "abandon_newer",
    "best_verified",
    "checkpoints",
    "list_one",
    "newest_usable",
    "newest_verified",
    "not_usable",
    "point",
    "pointed",
    "require_space",
    "saved_step",
    "step_name",
    "step_of",
    "verify",
]
