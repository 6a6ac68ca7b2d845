"""The formulas of the dial, at points that are known from elsewhere."""

import pytest

from gptkit.dial import formulas
from gptkit.model.depth import shape_at


def test_weights_and_work_of_gpt2_small_are_those_of_its_paper():
    weights = formulas.num_weights(12, 768, 50257)

    assert weights == pytest.approx(124e6, rel=0.01)  # its positions and norms are not multiplied
    assert formulas.flops_per_token(12, 768, 1024, 50257) == pytest.approx(854.7e6, rel=0.01)


def test_at_nanochats_depth_of_12_tokens_and_batch_are_nanochats():
    tokens = formulas.tokens_to_learn_from(110e6)

    assert tokens == pytest.approx(10.5 * 110e6)
    assert formulas.batch_tokens(tokens) == pytest.approx(2**19)


def test_a_longer_run_has_larger_batches_and_more_of_them():
    lengths = [1e5, 1e6, 1e7, 1e8, 1e9]

    batches = [formulas.batch_tokens(tokens) for tokens in lengths]
    steps = [tokens / batch for tokens, batch in zip(lengths, batches, strict=True)]

    assert batches == sorted(batches) and steps == sorted(steps)
    assert steps[0] > 90 and steps[-1] < 3000


def test_no_step_is_so_small_that_it_saves_no_time():
    assert formulas.batch_tokens(5000) == 1024


def test_muon_is_left_where_it_would_cost_more_than_it_teaches():
    assert formulas.pays_muon(128, batch=2048)
    assert not formulas.pays_muon(768, batch=1024)


def test_a_shorter_run_takes_larger_steps():
    rates = [formulas.muon_rate(steps) for steps in (10, 60, 350, 2500, 100_000)]

    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (rates[1], 0.02)


def test_dropout_grows_with_what_could_be_learned_by_heart():
    found = [formulas.regularisation(epochs, 4e5, train_tokens=1e5) for epochs in (1, 4, 15, 80)]

    assert [dropout for dropout, _ in found] == [0.0, 0.1, 0.2, 0.2]
    assert [decay for _, decay in found] == [0.1, 0.1, 0.1, 1.0]
    # nanoGPT's GPU recipe for Shakespeare
    assert formulas.regularisation(82, 10.6e6, 1e6)[0] == 0.2


def test_momentum_grows_with_the_steps_that_it_has_time_for():
    momenta = [formulas.momentum(steps) for steps in (1, 60, 350, 2500, 100_000)]

    assert momenta == sorted(momenta)
    assert (momenta[0], momenta[1]) == (0.85, 0.85)
    assert momenta[3] == pytest.approx(0.95, abs=0.005)
    assert momenta[-1] < 1


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 12, 100])
def test_a_depth_is_blocks_and_channels_in_whole_even_heads(depth):
    shape = shape_at(depth, {})

    assert shape["n_layer"] == depth
    assert shape["n_embd"] % shape["n_head"] == 0
    assert shape["n_embd"] // shape["n_head"] == 64
    assert shape["n_embd"] >= 128
