"""One thread that makes batches ahead of the loop, so that a step never waits for data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from typing import Self

import torch

from gptkit.data.batches import Batch, Batches

_DEPTH = 2
"""Batches that lie ready."""


class _End:
    """What the thread sends last: that there are no more indices, or why it stopped."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Feeder:
    """Yields `batches.batch(i)` for the given indices, in their order, on `device`.

    An error in the thread is raised where its batch was due. Use it in a `with` block, or `close`.
    """

    def __init__(
        self, batches: Batches, indices: Iterable[int], device: torch.device | str = "cpu"
    ) -> None:
        self.wait_seconds = 0.0
        """Time that the loop has waited for batches so far."""
        self._batches = batches
        self._indices = indices
        self._device = torch.device(device)
        self._ready: Queue[Batch | _End] = Queue(_DEPTH)
        self._closed = Event()
        self._end: _End | None = None
        # A daemon, so that an interpreter that ends with an exception does not hang on it.
        self._thread = Thread(target=self._work, name="feeder", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._end is None:
            started = time.perf_counter()
            item = self._ready.get()
            self.wait_seconds += time.perf_counter() - started
            if isinstance(item, Batch):
                return item
            self._end = item
        if self._end.error is not None:
            raise self._end.error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread; batches that lie ready are dropped."""
        self._closed.set()
        self._end = self._end or _End()
        while self._thread.is_alive():
            # The thread may be waiting for a free place.
            try:
                self._ready.get(timeout=0.01)
            except Empty:
                continue
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _work(self) -> None:
        end = _End()
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)  # each thread has its own current device
            for index in self._indices:
                if self._closed.is_set():
                    break
                self._ready.put(self._moved(self._batches.batch(index)))
        except BaseException as error:
            end = _End(error)
        self._ready.put(end)

    def _moved(self, batch: Batch) -> Batch:
        if self._device.type == "cpu":
            return batch
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self._device)
