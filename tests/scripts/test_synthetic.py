"""The best predictors of the exam against the entropies that formulas give, and against luck."""

import math

import numpy as np
import pytest
from synthetic import Copying, Dyck, InContextMarkov, Markov, ModularAddition

LANGUAGES = {
    "markov": Markov(),
    "dyck": Dyck(),
    "copy": Copying(symbols=6, length=4),
    "in-context markov": InContextMarkov(),
    "modular addition": ModularAddition(5),
}


def windows_of(language, *, count=60, length=33, seed=3):
    text = language.text(count * length + 1, np.random.default_rng(seed))
    return text[length * np.arange(count)[:, None] + np.arange(length + 1)]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_a_text_is_the_same_for_the_same_chance_and_uses_every_token(language):
    first, again = (language.text(4000, np.random.default_rng(5)) for _ in range(2))

    assert first.tolist() == again.tolist()
    assert set(first.tolist()) == set(range(language.vocab_size))


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_probabilities_of_all_tokens_add_up_to_one(language):
    windows = windows_of(language, count=8)

    for last in (1, 2, 9, 33):
        total = 0.0
        for token in range(language.vocab_size):
            other = windows[:, : last + 1].copy()
            other[:, -1] = token
            with np.errstate(divide="ignore", invalid="ignore"):
                total = total + np.exp(-language.nats(other)[:, -1])
        assert total == pytest.approx(np.ones(8))


@pytest.mark.parametrize("name", ["markov", "dyck", "copy"])
def test_late_in_a_long_window_the_nats_are_the_entropy_rate(name):
    language = LANGUAGES[name]

    late = language.nats(windows_of(language, count=250, length=101))[:, 40:]

    error = late.mean(axis=1).std() / math.sqrt(len(late))
    assert late.mean() == pytest.approx(language.rate, abs=4 * error)


def test_the_rate_of_brackets_worked_out_by_hand():
    # pi_1 = pi_0 / q, pi_{d+1} = pi_d p / q, pi_D = pi_{D-1} p
    assert Dyck(kinds=4, push=0.5, deepest=8).rate == pytest.approx(1.29965, abs=1e-5)


def test_a_sum_is_certain_once_both_numbers_were_seen():
    language = ModularAddition(5)

    nats = language.nats(np.array([[5 + 3, 10 + 1, 2, 5 + 4, 10 + 1, 0]]))

    # b, then its sum without a; then a, b and their sum
    assert nats[0] == pytest.approx([math.log(5)] * 3 + [0, math.log(5)])


def test_a_copied_row_is_certain_where_its_original_is_in_the_window():
    language = Copying(symbols=6, length=4)
    between, end = 6, 7
    window = np.array([[end, 1, 2, 3, 4, between, 1, 2, 3, 4, end, 5]])

    nats = language.nats(window)[0]

    assert nats[:4] == pytest.approx(np.full(4, math.log(6)))
    assert nats[4:10] == pytest.approx(np.zeros(6), abs=1e-9)
    assert nats[10] == pytest.approx(math.log(6))


def test_what_closes_must_be_what_was_opened_last():
    language = Dyck(kinds=2, push=0.5, deepest=3)

    opened_and_closed = language.nats(np.array([[0, 1, 3]]))[0]
    wrong = np.array([[0, 1, 2]])  # opens 0 and 1, closes 0

    assert 0 < opened_and_closed[1] < math.log(4)
    assert np.isinf(language.nats(wrong)[0, 1])
