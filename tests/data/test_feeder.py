"""Batches made ahead."""

import threading
import time

import numpy as np
import pytest
import torch

from gptkit.data.batches import TrainingWindows
from gptkit.data.feeder import Feeder
from gptkit.data.shards import InMemoryTokens


@pytest.fixture
def windows():
    tokens = InMemoryTokens(np.arange(200, dtype=np.uint16), np.array([0]))
    return TrainingWindows(tokens, 2, 8, seed=0)


class Slow:
    def __init__(self, windows, seconds):
        self.windows, self.seconds = windows, seconds
        self.made = []

    def batch(self, index):
        time.sleep(self.seconds)
        self.made.append(index)
        return self.windows.batch(index)


class Broken:
    def __init__(self, windows):
        self.windows = windows

    def batch(self, index):
        if index == 2:
            raise OSError("the disk is gone")
        return self.windows.batch(index)


def feeder_threads():
    return [thread for thread in threading.enumerate() if thread.name == "feeder"]


def test_batches_come_in_the_order_of_their_indices(windows):
    indices = [5, 1, 9, 0, 3]

    with Feeder(windows, indices) as feeder:
        fed = list(feeder)

    for index, batch in zip(indices, fed, strict=True):
        assert torch.equal(batch.tokens, windows.batch(index).tokens)


def test_an_error_comes_where_its_batch_was_due(windows):
    with Feeder(Broken(windows), range(5)) as feeder:
        next(feeder)
        next(feeder)

        with pytest.raises(OSError, match="the disk is gone"):
            next(feeder)
        with pytest.raises(OSError, match="the disk is gone"):
            next(feeder)


def test_the_end_stays_the_end(windows):
    with Feeder(windows, [0]) as feeder:
        assert len(list(feeder)) == 1
        assert list(feeder) == []


def test_closing_in_the_middle_ends_the_thread(windows):
    feeder = Feeder(windows, iter(range(10**9)))
    next(feeder)

    feeder.close()

    assert feeder_threads() == []
    with pytest.raises(StopIteration):
        next(feeder)


def test_closing_twice_is_fine(windows):
    feeder = Feeder(windows, range(3))

    feeder.close()
    feeder.close()


def test_only_a_few_batches_are_made_ahead(windows):
    slow = Slow(windows, 0)

    with Feeder(slow, range(100)):
        time.sleep(0.1)

        assert len(slow.made) <= 3


def test_waiting_is_measured(windows):
    with Feeder(Slow(windows, 0.02), range(5)) as feeder:
        list(feeder)

    assert feeder.wait_seconds > 0.05


def test_a_loop_that_is_slower_than_the_thread_hardly_waits(windows):
    with Feeder(Slow(windows, 0.01), range(12)) as feeder:
        for _ in feeder:
            time.sleep(0.03)

    assert feeder.wait_seconds < 0.5 * 12 * 0.01
