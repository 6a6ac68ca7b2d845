import math
import statistics

import pytest
import torch

from gptkit.training.spikes import WINDOW, SpikeWatch

LN_V = math.log(1000)


def watch(losses, threshold=20.0):
    spikes = SpikeWatch(threshold, vocab_size=1000)
    for loss in losses:
        spikes.note(torch.tensor(loss))
    return spikes


def is_spike(spikes, loss):
    return bool(spikes.deviations(torch.tensor(loss)) > 1)


def noisy(count, centre=3.0, spread=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (centre + spread * torch.randn(count, generator=generator)).tolist()


def test_the_threshold_is_robust_standard_deviations_above_the_median():
    losses = noisy(100, spread=0.2)
    median = statistics.median_low(losses)
    spread = 1.4826 * statistics.median_low([abs(loss - median) for loss in losses])
    spikes = watch(losses)

    assert not is_spike(spikes, median + 19.9 * spread)
    assert is_spike(spikes, median + 20.1 * spread)
    assert not is_spike(spikes, median - 100 * spread)


def test_spikes_that_were_let_in_do_not_hide_the_next_one():
    spikes = watch([*noisy(100), *[30.0] * 20])

    assert is_spike(spikes, 30.0)


def test_a_small_rise_is_none_however_quiet_the_losses_were():
    spikes = watch([0.01] * 100)

    assert not is_spike(spikes, 0.01 + 0.24 * LN_V)
    assert is_spike(spikes, 0.01 + 0.26 * LN_V)


def test_at_first_only_a_loss_far_beyond_a_uniform_guess_is_a_spike():
    spikes = watch([LN_V])

    assert not is_spike(spikes, 2.9 * LN_V)
    assert is_spike(spikes, 1e9)
    assert not is_spike(watch([]), 1e9)  # nothing to compare with


def test_ordinary_noise_and_a_falling_loss_are_never_spikes():
    spikes = watch([])
    for step, noise in enumerate(noisy(2000, centre=0.0, spread=0.3)):
        loss = torch.tensor(2.0 + 5.0 * math.exp(-step / 50) + noise)
        assert not bool(spikes.deviations(loss) > 1), step
        spikes.note(loss)


def test_without_a_threshold_nothing_is_a_spike():
    assert not is_spike(watch(noisy(100), threshold=None), 1e30)


@pytest.mark.parametrize("count", [0, 5, WINDOW, WINDOW + 1, 3 * WINDOW + 7])
def test_a_watch_that_starts_from_the_losses_of_another_goes_on_like_it(count):
    first = watch(noisy(count))
    second = SpikeWatch(20.0, vocab_size=1000)
    second.start_from(first.losses())

    for loss in torch.tensor(noisy(2 * WINDOW, seed=1)):
        torch.testing.assert_close(
            first.deviations(loss), second.deviations(loss), rtol=0, atol=0, equal_nan=True
        )
        first.note(loss)
        second.note(loss)
    assert first.losses() == second.losses()


def test_the_losses_are_the_last_ones_oldest_first():
    losses = [float(i) for i in range(WINDOW + 10)]

    assert watch(losses).losses() == losses[10:]
