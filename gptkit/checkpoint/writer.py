"""Saving beside training: one job at a time, each in a thread of its own.

    training   step  snapshot  submit ......... step  step  snapshot  submit
    writer                     [write, verify, remove the old ones]   [write, ...

`submit` waits where the job before it is not done yet, so that a slow disk slows training down and
never fills the memory with snapshots.

A thread that stayed would keep the OpenMP threads that torch's operations gave it, and with more of
those than cores libgomp hardly lets any of them spin: steps of a small model then take 1.5 times as
long until the process ends.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from threading import Event, Thread

Job = Callable[[], None]

# Waiting without an end would keep Windows from seeing Ctrl-C.
_SECONDS_BETWEEN_SIGNALS = 0.2
_SECONDS_AT_EXIT = 20.0


class BackgroundWriter:
    """Runs jobs one after another, in the order in which they were submitted.

    What a job raises is raised by the next `submit` or `wait`. An interpreter that ends without
    `close` gives the job in flight some seconds; what is not whole by then never will be.
    """

    def __init__(self) -> None:
        self._done = Event()
        self._done.set()
        self._error: BaseException | None = None
        # Python ends daemon threads where they are; inside torch that aborts the whole process.
        atexit.register(self._wait_a_little)

    def submit(self, job: Job) -> None:
        """Have `job` run, once the one before it is done.

        Raises: what the job before it raised; `job` is not run then.
        """
        self.wait()
        done = Event()
        Thread(target=self._run, args=([job], done), name="checkpoint-writer", daemon=True).start()
        # Not before: interrupted between the two, nothing must wait for a job that never runs.
        self._done = done

    def linger(self, seconds: float) -> None:
        """Wait for what runs, but not longer than this."""
        self._done.wait(seconds)

    def wait(self) -> None:
        """Wait until nothing runs.

        Raises: what the last job raised, once.
        """
        self._wait_until_done()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait for what runs, whatever comes of it; nothing can follow."""
        self._wait_until_done()
        atexit.unregister(self._wait_a_little)

    def _wait_until_done(self) -> None:
        # Not Thread.join: interrupted by Ctrl-C it takes a running thread for one that has ended.
        while not self._done.wait(_SECONDS_BETWEEN_SIGNALS):
            pass

    def _wait_a_little(self) -> None:
        self._done.wait(_SECONDS_AT_EXIT)

    def _run(self, box: list[Job], done: Event) -> None:
        job = box.pop()
        try:
            job()
        except BaseException as error:
            self._error = error
        del job  # and with it the snapshot, which must not stay until the next one
        done.set()
