"""Run folders: naming them, finding the one that is meant, and keeping a second writer out."""

from gptkit.runs.folders import (
    RunRecord,
    holds_run,
    list_runs,
    make_run_dir,
    new_run_dir,
    read_record,
    runs_folder,
    start_run,
)
from gptkit.runs.lock import hold_run, refuse_if_held
from gptkit.runs.resolve import is_checkpoint, resolve, run_folder, run_of

__all__ = [
    "RunRecord",
    "hold_run",
    "holds_run",
    "is_checkpoint",
    "list_runs",
    "make_run_dir",
    "new_run_dir",
    "read_record",
    "refuse_if_held",
    "resolve",
    "run_folder",
    "run_of",
    "runs_folder",
    "start_run",
]
