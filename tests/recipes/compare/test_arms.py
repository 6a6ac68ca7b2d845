"""Which runs are one recipe."""

from gptkit.recipes.compare.arms import differences, flat, group


def settings(seed=1, **model):
    return {"run_dir": f"runs/{seed}", "model": {"n_embd": 32, **model}, "training": {"seed": seed}}


def test_settings_are_named_by_dotted_keys():
    values = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": {}}

    assert dict(flat(values)) == {"a.b.c": 1, "a.d": [1, 2], "e": {}}


def test_runs_that_differ_in_seed_and_folder_alone_are_one_recipe():
    arms = group(["x", "y", "z"], [settings(1), settings(2), settings(1, n_embd=64)])

    assert [arm.members for arm in arms] == [(0, 1), (2,)]
    assert arms[0].name == "x and 1 more"


def test_recipes_keep_the_order_in_which_they_were_named():
    arms = group(["b", "a", "c"], [settings(1, n_embd=64), settings(1), settings(2, n_embd=64)])

    assert [arm.members for arm in arms] == [(0, 2), (1,)]


def test_keys_that_only_one_run_has_count_as_differences():
    found = differences([settings(1), settings(1, window=8), settings(2)])

    assert found == {"model.window": ["-", 8, "-"], "training.seed": [1, 1, 2]}
