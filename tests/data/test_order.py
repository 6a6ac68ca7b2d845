"""Shuffled orders."""

import numpy as np
import pytest

from gptkit.data.order import Shuffle, mix, splitmix64

SIZES = [1, 2, 3, 4, 5, 15, 16, 17, 100, 1000, 4097]


@pytest.fixture(params=["table", "feistel"])
def largest_table(request):
    return {"table": 10**7, "feistel": 0}[request.param]


def order(n, key, largest_table):
    return Shuffle(n, key, largest_table=largest_table)(np.arange(n))


@pytest.mark.parametrize("n", SIZES)
def test_an_order_holds_every_number_once(n, largest_table):
    assert sorted(order(n, mix(7), largest_table)) == list(range(n))


def test_equal_keys_give_equal_orders(largest_table):
    assert (order(1000, 5, largest_table) == order(1000, 5, largest_table)).all()


def test_different_keys_give_unrelated_orders(largest_table):
    fixed = (order(1000, 5, largest_table) == order(1000, 6, largest_table)).sum()

    assert fixed < 10  # one is expected


def test_neighbours_are_torn_apart(largest_table):
    steps = np.abs(np.diff(order(4096, 1, largest_table).astype(float)))

    assert 0.9 < steps.mean() / (4096 / 3) < 1.1


def test_places_can_be_asked_one_by_one(largest_table):
    shuffle = Shuffle(50, 3, largest_table=largest_table)

    single = [int(shuffle(np.array([place]))[0]) for place in range(50)]

    assert single == order(50, 3, largest_table).tolist()


def test_the_order_is_the_same_in_every_version(largest_table):
    # A resumed run continues in this order; who changes it breaks every checkpoint.
    expected = {0: [0, 3, 1, 4, 5, 7, 6, 9, 2, 8], 10**7: [5, 0, 9, 8, 6, 4, 1, 2, 3, 7]}

    assert order(10, mix(1337, 0, 1), largest_table).tolist() == expected[largest_table]


def test_the_hash_is_splitmix64():
    # The first numbers of the published generator from seed 0: its state grows by this constant.
    golden = 0x9E3779B97F4A7C15
    states = np.array([0, golden, 2 * golden % 2**64], np.uint64)

    assert [hex(x) for x in splitmix64(states)] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_mixing_depends_on_every_number_and_its_place():
    assert len({mix(1, 2), mix(2, 1), mix(1, 2, 0), mix(1), mix(0, 1, 2)}) == 5
