import time

import pytest
import torch

from gptkit.runtime import ceilings, peak, timing
from gptkit.runtime.ceilings import (
    AttentionShape,
    attention_flops,
    matrix_flops,
    read_bandwidth,
)
from gptkit.runtime.peak import measured_flops

CPU = torch.device("cpu")


class Clock:
    """A clock that only work moves on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    measured_flops.cache_clear()
    yield clock
    measured_flops.cache_clear()


@pytest.fixture
def multiplier(clock, monkeypatch):
    """A machine that multiplies matrices of any size at a rate that the test sets."""

    class Multiplier:
        rate = 1e9
        sizes = ()

        def mm(self, a, b):
            self.sizes = (*self.sizes, len(a))
            clock.now += 2 * len(a) ** 3 / self.rate

    machine = Multiplier()
    monkeypatch.setattr(torch, "mm", machine.mm)
    monkeypatch.setattr(torch, "randn", lambda *size, **options: torch.empty(1).expand(size))
    return machine


def test_every_ceiling_is_a_positive_rate():
    assert matrix_flops(torch.float32, CPU, seconds=0.01) > 0
    assert read_bandwidth(CPU, seconds=0.01, num_bytes=2**20) > 0
    assert attention_flops(torch.float32, CPU, seconds=0.01) > 0


def test_the_best_trial_counts(clock):
    durations = iter([5.0, 0.25, 0.5, 9.0])

    def work():
        clock.now += next(durations)

    assert timing.best_seconds(work, CPU, seconds=5.5) == 0.25


def test_the_first_trial_is_never_alone(clock):
    durations = iter([100.0, 2.0])

    def work():
        clock.now += next(durations)

    assert timing.best_seconds(work, CPU, seconds=1.0) == 2.0


def test_a_product_of_two_matrices_is_two_operations_for_each_of_n_cubed(multiplier):
    multiplier.rate = 4e9

    assert measured_flops(torch.float32, size=1000) == pytest.approx(4e9)
    assert multiplier.sizes[0] == 1000


def test_sizes_grow_as_long_as_the_time_allows(clock, multiplier):
    multiplier.rate = 200e9

    assert matrix_flops(torch.float32, CPU, seconds=0.5) == pytest.approx(200e9)
    assert max(multiplier.sizes) >= 1024
    assert clock.now < 0.6


def test_a_precision_that_is_only_emulated_costs_two_small_products(clock, multiplier):
    multiplier.rate = 0.1e9  # one product of 256 takes a third of a second

    matrix_flops(torch.float16, CPU, seconds=0.5)

    assert multiplier.sizes == (256, 256)


def test_reading_counts_each_byte_of_the_weights_once(clock, monkeypatch):
    def mv(matrix, vector):
        assert matrix.numel() * matrix.element_size() == 2**20
        clock.now += 0.5

    monkeypatch.setattr(torch, "mv", mv)

    assert read_bandwidth(CPU, seconds=1.0, num_bytes=2**20) == 2**21


def test_causal_attention_forward_and_backward_by_hand():
    # Scores of 2 x 2 with 8 channels: 2 * 2 * 2 * 8 = 64; values the same: 128; backward twice
    # that: 384 in all; half is masked: 192; 3 x 5 heads of it.
    assert AttentionShape(batch=3, heads=5, length=2, head_dim=8).flops == 15 * 192


def test_what_a_device_cannot_do_has_no_rate(monkeypatch):
    def mm(a, b):
        raise RuntimeError('"addmm" not implemented')

    monkeypatch.setattr(torch, "mm", mm)
    measured_flops.cache_clear()

    assert matrix_flops(torch.float32, CPU, seconds=0.01) is None


def test_the_peak_of_a_processor_is_that_measurement(monkeypatch):
    monkeypatch.setattr(peak, "measured_flops", lambda dtype, size: 7e9)

    assert peak.peak_flops(CPU, torch.float32) == 7e9
    assert ceilings.measured_flops is measured_flops
