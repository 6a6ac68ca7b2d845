"""A small file system in memory, to be filled up; for those who may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from faults.trial import Trial

_DISK_BYTES = 6_000_000


@dataclass(frozen=True)
class SmallDisk:
    """A folder on a small disk of its own."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self, spare: int) -> None:
        """Take all space but `spare` bytes."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        size = self._ballast.stat().st_size
        os.truncate(self._ballast, max(0, size - spare))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()


@contextmanager
def small_disk(trial: Trial) -> Iterator[SmallDisk]:
    """Mount a disk of a few megabytes in the trial's folder; what is on it when the block fails is kept."""
    path = trial.folder / "disk"
    path.mkdir()
    _mount(path)
    try:
        yield SmallDisk(path)
    except BaseException:
        trial.end()
        with suppress(shutil.Error):
            shutil.copytree(path, trial.folder / "disk-content")
        raise
    finally:
        trial.end()
        subprocess.run(["umount", "-l", str(path)], check=True)


def _mount(path: Path) -> None:
    size = f"size={_DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", size, "gptkit-faults", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    if sys.platform != "linux":
        return False
    folder.mkdir(exist_ok=True)
    try:
        _mount(folder)
    except (OSError, subprocess.CalledProcessError):
        return False
    subprocess.run(["umount", str(folder)], check=True)
    return True
