"""What a sweep varies."""

import pytest

from gptkit.errors import ConfigError
from gptkit.recipes.sweep.space import Range, grid, parse_space, random, split


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,2", ["1", "2"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("{name: text, paths: [a, b]}", ["{name: text, paths: [a, b]}"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("一,二", ["一", "二"]),
    ],
)
def test_values_are_parted_by_commas_outside_brackets_and_quotes(text, parts):
    assert split(text) == parts


def test_values_are_yaml_and_keys_are_dotted():
    space = parse_space(
        [
            "model.n_layer=2,4",
            "optimizer.learning_rate=1e-3",
            "model.mlp={name: gelu},{name: swiglu}",
        ]
    )

    assert space == {
        "model.n_layer": (2, 4),
        "optimizer.learning_rate": (0.001,),
        "model.mlp": ({"name": "gelu"}, {"name": "swiglu"}),
    }


def test_a_grid_has_every_combination_in_a_fixed_order():
    assert grid({"a": (1, 2), "b": ("x", "y"), "c": (0,)}) == [
        {"a": 1, "b": "x", "c": 0}, {"a": 1, "b": "y", "c": 0},
        {"a": 2, "b": "x", "c": 0}, {"a": 2, "b": "y", "c": 0},
    ]  # fmt: skip


def test_a_range_is_by_factors_where_it_is_wide_and_whole_where_its_ends_are():
    wide, narrow, whole = (
        parse_space([f"a={text}"])["a"] for text in ("1e-4..1e-2", "0.1..0.5", "2..8")
    )

    assert (wide.at(0), wide.at(0.5), wide.at(1)) == (1e-4, 1e-3, 1e-2)
    assert narrow.at(0.5) == 0.3
    assert [whole.at(share) for share in (0, 0.5, 1)] == [2, 5, 8]


def test_random_draws_stay_inside_and_are_the_same_each_time():
    space = {"a": Range(1e-4, 1e-2), "b": (1, 2, 3)}

    first, second = list(random(space, 50)), list(random(space, 50))

    assert first == second
    assert all(1e-4 <= one["a"] <= 1e-2 for one in first)
    assert {one["b"] for one in first} == {1, 2, 3}


def test_a_path_with_two_dots_is_a_value():
    assert parse_space(["data.source.paths=[../my.txt]"]) == {"data.source.paths": (["../my.txt"],)}


@pytest.mark.parametrize("settings", [["a"], ["=1"], ["a=1,2", "a=3"], ["a=2..1"]])
def test_what_means_nothing_is_refused(settings):
    with pytest.raises(ConfigError):
        parse_space(settings)


def test_a_range_in_a_grid_asks_for_a_number_of_trials():
    with pytest.raises(ConfigError, match="--trials"):
        grid(parse_space(["a=1..2"]))
