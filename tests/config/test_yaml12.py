"""YAML 1.2 meaning, where PyYAML alone reads 1.1."""

import math

import pytest

from gptkit.config.yaml12 import read_yaml, write_scalar, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1e+3", 1000.0),
        ("3E-4", 0.0003),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2", -2),
        ("0o10", 8),
        ("0x10", 16),
        ("0", 0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("inf", "inf"),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("10m", "10m"),
        ("'1'", "1"),
        ("静夜思", "静夜思"),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text, value):
    document = read_yaml(f"key: {text}")

    assert document.problems == []
    assert document.value == {"key": value}
    assert type(document.value["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "a: given twice"),
        ("s:\n  k: 1\n  k: 2\n", (3, 3), "s.k: given twice"),
        ("a: 010", (1, 4), "leading zero"),
        ("a: !!python/object:os.system {}", (1, 4), "tag"),
        ("a: !!python/name:os.system x", (1, 4), "tag"),
        ("a: !!int word", (1, 4), "not a number"),
        ("a: 1" + "0" * 5000, (1, 4), "not a number"),
        ("a: [1, 2", (1, 9), "not valid YAML"),
        ("a:\n\t- 1", (2, 1), "not valid YAML"),
        ("? [a]\n: 1", (1, 3), "plain word"),
        ("a: 1\n---\nb: 2\n", (2, 1), "not valid YAML"),
        ("a: \x07", (1, 4), "U+0007"),
    ],
)
def test_a_problem_has_a_place_and_a_cause(text, place, what):
    problems = read_yaml(text).problems

    assert [problem[:2] for problem in problems] == [place]
    assert what in problems[0][2]


def test_tags_that_build_python_objects_build_nothing():
    document = read_yaml("a: !!python/object/apply:os.getcwd []")

    assert document.problems
    assert document.value == {"a": []}


def test_a_billion_laughs_are_cut_short():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]

    problems = read_yaml("\n".join(lines)).problems

    assert len(problems) == 1
    assert "aliases" in problems[0][2]


def test_a_list_that_contains_itself_is_a_problem():
    assert "aliases" in read_yaml("a: &a [*a]").problems[0][2]


def test_deep_nesting_is_a_problem_and_no_crash():
    assert "nested too deeply" in read_yaml("[" * 5000 + "]" * 5000).problems[0][2]


@pytest.mark.parametrize(
    "value",
    [
        "1e-3",
        "no",
        "010",
        "1:30",
        "",
        "null",
        "~",
        "true",
        " a ",
        "a: b",
        "中文",
        "# x",
        1e-5,
        3,
        None,
    ],
)
def test_what_is_written_is_read_back(value):
    assert read_yaml(write_yaml({"key": [value]})).value == {"key": [value]}
    assert read_yaml(f"key: {write_scalar(value)}").value == {"key": value}
