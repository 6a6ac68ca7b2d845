"""Which checkpoints stay: the newest few that verify, and the best."""

from __future__ import annotations

from pathlib import Path

from gptkit.checkpoint.folder import remove
from gptkit.checkpoint.manifest import MANIFEST_NAME
from gptkit.checkpoint.names import candidates, original_name
from gptkit.checkpoint.pointers import pointed
from gptkit.checkpoint.verify import verify


class Retention:
    """Removes a run's superfluous checkpoints, on behalf of the one writer that holds its lock.

    A folder counts among the newest only when every byte of it verifies. It is read once per
    process: what was whole then is not read again while its manifest is the same file.
    """

    def __init__(self, run_dir: Path, keep: int) -> None:
        """keep: newest checkpoints to keep, beside the best one."""
        assert keep >= 1
        self._run_dir = run_dir
        self._keep = keep
        self._whole: set[tuple[str, int, int]] = set()

    def apply(self) -> list[str]:
        """Remove what is not to be kept; return problems in words."""
        problems = []
        for folder in self._superfluous():
            try:
                remove(folder)
            except OSError as error:
                problems.append(f"cannot remove {folder}: {error.strerror or error}")
        return problems

    def _superfluous(self) -> list[Path]:
        """Return the whole ones beyond the newest `keep`; damaged ones are not ours to remove."""
        best = pointed(self._run_dir, "best")
        kept: set[str] = set()
        superfluous = []
        found = candidates(self._run_dir)
        if len(found) <= self._keep:
            return []
        for folder in found:
            name = original_name(folder)
            if name in kept:
                superfluous.append(folder)  # replaced, and its successor is whole
            elif not self._is_whole(folder):
                continue
            elif len(kept) < self._keep:
                kept.add(name)
            elif best is None or name != best.name:
                superfluous.append(folder)
        return superfluous

    def _is_whole(self, folder: Path) -> bool:
        try:
            status = (folder / MANIFEST_NAME).stat()
        except OSError:
            return False
        key = (folder.name, status.st_mtime_ns, status.st_ino)
        if key not in self._whole:
            if verify(folder):
                return False
            self._whole.add(key)
        return True
