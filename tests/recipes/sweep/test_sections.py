"""What a sweep says of its trials."""

from gptkit.recipes.sweep import sweep
from gptkit.recipes.sweep.sections import all_of, best_of
from gptkit.recipes.sweep.trials import Result, Trial, read_trials


def results(*trials):
    return [
        Result(
            Trial(number, settings, 0 if loss else 1),
            [{"step": 5, "val_loss": loss}] if loss else [],
        )
        for number, (settings, loss) in enumerate(trials, start=1)
    ]


def test_the_best_trial_is_named_and_a_value_at_the_end_of_those_tried():
    tried = [
        ({"optimizer.learning_rate": 1e-3, "model.n_embd": 8}, 3.0),
        ({"optimizer.learning_rate": 1e-2, "model.n_embd": 16}, 2.5),
        ({"optimizer.learning_rate": 1e-1, "model.n_embd": 8}, None),
        ({"optimizer.learning_rate": 3e-3, "model.n_embd": 32}, 2.7),
    ]

    said = best_of(results(*tried))

    assert "2.5000, trial-002, optimizer.learning_rate=0.01  model.n_embd=16" in said
    assert "that was tried" not in said
    assert "0.001 is the smallest optimizer.learning_rate that was tried" in best_of(
        results(
            *tried[:1], *tried[2:], ({"optimizer.learning_rate": 1e-3, "model.n_embd": 16}, 1.0)
        )
    )


def test_nothing_is_best_where_no_trial_has_a_loss():
    assert best_of([]) is None
    assert best_of(results(({"a": 1}, None), ({"a": 2}, None))) is None


def test_rates_are_drawn_by_factors_and_names_are_left_out_of_the_plots():
    made = "".join(
        all_of(
            "s",
            results(
                ({"optimizer.learning_rate": 1e-4, "optimizer.name": "adamw"}, 3.0),
                ({"optimizer.learning_rate": 1e-2, "optimizer.name": "muon"}, 2.0),
            ),
        )
    )

    assert made.count("data-log") == 1
    assert ">0.001<" in made


def test_a_trial_that_is_tried_again_leaves_those_after_it_remembered(tmp_path, monkeypatch):
    planned, tried = [{"a": 1}, {"a": 2}], []

    def fails_the_first(path, run_dir, settings):
        tried.append(settings["a"])
        return 1 if settings["a"] == 1 else 0

    monkeypatch.setattr(sweep, "_train", fails_the_first)
    for _ in range(2):
        sweep._train_all(tmp_path / "mine.yaml", tmp_path, {"a": (1, 2)}, planned, 0)

    assert tried == [1, 2, 1]
    assert read_trials(tmp_path) == {1: Trial(1, {"a": 1}, 1), 2: Trial(2, {"a": 2}, 0)}


def test_a_damaged_memory_is_as_none(tmp_path):
    (tmp_path / "sweep.json").write_text('{"trials": [3]}', encoding="utf-8")

    assert read_trials(tmp_path) == {}
