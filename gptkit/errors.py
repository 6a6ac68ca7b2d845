"""The errors that users can cause, each with the exit code of the command line.

    GptkitError
    ├── ConfigError        2   a setting, an option or a file that the user named is wrong
    │   ├── DataError      2   the text cannot be read, or is too short
    │   └── PromptError    2   the prompt cannot be encoded
    ├── CheckpointError    3   checkpoints exist and none is usable
    ├── DivergenceError    4   the loss is no longer a finite number
    ├── RunInUseError      5   another process writes to the run folder
    └── Interrupted  128 + n   signal n ended the command, after saving where there was something to save

Programmers cause `assert` or Python's own exceptions; those keep their traceback.
"""

import signal


class GptkitError(Exception):
    """A problem the user can mend; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(GptkitError):
    """A setting, an option or a named file is wrong; nothing was written."""

    exit_code = 2


class DataError(ConfigError):
    """The text or the prepared tokens cannot be used."""


class PromptError(ConfigError):
    """The prompt cannot be encoded or does not fit."""


class CheckpointError(GptkitError):
    """Checkpoints exist and none is usable."""

    exit_code = 3


class DivergenceError(GptkitError):
    """Training left the finite numbers; the last good checkpoint is kept."""

    exit_code = 4


class RunInUseError(GptkitError):
    """Another process holds the run folder."""

    exit_code = 5


class Interrupted(GptkitError):
    """A signal asked the process to end.

    Exit code 130 for SIGINT, 143 for SIGTERM, 138 for SIGUSR1 (on Linux; elsewhere it has another number).
    """

    def __init__(self, signal_number: int, message: str = "") -> None:
        super().__init__(message or f"stopped by {signal.Signals(signal_number).name}")
        self.exit_code = 128 + signal_number
