"""Which checkpoints stay: the newest few that verify, and the best."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gptkit.checkpoint.folder import remove
from gptkit.checkpoint.names import candidates, original_name
from gptkit.checkpoint.pointers import pointed
from gptkit.checkpoint.verify import Stamp, stamp, verify

_KEPT_WHILE_TRAINING = 2


class Retention:
    """Removes a run's superfluous checkpoints, on behalf of the one writer that holds its lock.

    A folder counts among the newest only when every byte of it verifies. It is read once per
    process: what was whole then is not read again while none of its files has changed.
    """

    def __init__(self, run_dir: Path, keep: int) -> None:
        """keep: newest checkpoints to keep, beside the best one."""
        assert keep >= 1
        self._run_dir = run_dir
        self._keep = keep
        self._whole: dict[str, Stamp] = {}

    def apply(self, *, spare: Collection[str] = ()) -> list[str]:
        """Remove what is not to be kept while training goes on; return problems in words.

        At least two that verify stay, whatever `keep` is: the disk may yet lose the newest one.
        spare: names of folders that stay too, and take no other's place.
        """
        return self._remove(max(self._keep, _KEPT_WHILE_TRAINING), spare)

    def finish(self) -> list[str]:
        """Remove what is not to be kept of a run that is complete; return problems in words."""
        return self._remove(self._keep, ())

    def _remove(self, keep: int, spare: Collection[str]) -> list[str]:
        problems = []
        for folder in self._superfluous(keep, spare):
            try:
                remove(folder)
                self._whole.pop(folder.name, None)
            except OSError as error:
                problems.append(f"cannot remove {folder}: {error.strerror or error}")
        return problems

    def _superfluous(self, keep: int, spare: Collection[str]) -> list[Path]:
        """Return the whole ones beyond the newest `keep`; damaged ones are not ours to remove."""
        best = pointed(self._run_dir, "best")
        stay = {*spare, *({best.name} if best is not None else ())}
        kept: set[str] = set()
        superfluous = []
        found = candidates(self._run_dir)
        if len(found) <= keep:
            return []
        for folder in found:
            name = original_name(folder)
            if name in kept:
                superfluous.append(folder)  # replaced, and its successor is whole
            elif not self._is_whole(folder):
                continue
            elif len(kept) < keep:
                kept.add(name)
            elif name not in stay:
                superfluous.append(folder)
        return superfluous

    def _is_whole(self, folder: Path) -> bool:
        now = stamp(folder)
        if now is not None and self._whole.get(folder.name) == now:
            return True
        if now is None or verify(folder):
            return False
        self._whole[folder.name] = now
        return True
