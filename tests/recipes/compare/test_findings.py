"""Sentences that follow, and those that do not."""

from pathlib import Path

import numpy as np
import pytest

from gptkit.recipes.compare.compare import compare
from gptkit.recipes.compare.scores import Member, Ruler


def member(
    name, loss, *, seed=1, width=32, identity="same", text="same", bytes_each=1, tokens=2000
):
    """A run whose tokens have losses around `loss`, alike for all runs but for a little noise."""
    hard = np.random.default_rng(7).normal(0, 0.5, tokens)
    own = np.random.default_rng(seed * 100 + width).normal(0, 0.01, tokens)
    nats = hard + own
    return Member(
        name=name,
        path=Path("runs") / name,
        step=100,
        seed=seed,
        settings={"model": {"n_embd": width}, "training": {"seed": seed}},
        rows=[{"step": 100, "tokens": 6400, "elapsed_seconds": 1.0, "val_loss": loss}],
        identity=identity,
        text_sha256=text,
        nats=nats - nats.mean() + loss,
        token_bytes=np.full(tokens, bytes_each),
        document_starts=np.array([0]),
        context_length=50,
    )


def arm(width, *losses, first_seed=1):
    return [
        member(f"w{width}-{seed}", loss, seed=seed, width=width)
        for seed, loss in enumerate(losses, start=first_seed)
    ]


def test_one_seed_on_a_side_speaks_of_checkpoints_and_says_so():
    found = compare([*arm(32, 2.0), *arm(16, 2.1)])

    (finding,) = found.findings
    assert not finding.about_recipes
    assert finding.interval.difference == pytest.approx(0.1)
    assert "these checkpoints differ by +0.1000 +- 0.000" in finding.sentence
    assert "nothing follows about the recipes" in finding.sentence


def test_pairing_finds_a_difference_far_smaller_than_the_spread_of_the_tokens():
    (finding,) = compare([*arm(32, 2.0), *arm(16, 2.002)]).findings

    assert finding.winner == "w32-1"


def test_three_seeds_on_each_side_speak_of_recipes():
    found = compare([*arm(32, 2.0, 2.01, 1.99), *arm(16, 2.1, 2.11, 2.09)])

    (finding,) = found.findings
    assert finding.about_recipes
    assert finding.winner == "w32-1 and 2 more"
    assert "is better than that of w16-1 and 2 more by 0.1000" in finding.sentence


def test_seeds_that_overlap_show_no_difference():
    (finding,) = compare([*arm(32, 2.0, 2.1, 1.9), *arm(16, 2.05, 1.95, 2.1)]).findings

    assert finding.winner is None
    assert "no difference between the recipes is shown" in finding.sentence
    assert finding.seeds_needed is None
    assert "more than 100 seeds on each side" in finding.sentence


def test_a_difference_that_is_not_shown_comes_with_the_seeds_that_would_show_it():
    (finding,) = compare([*arm(32, 2.0, 2.1, 1.9), *arm(16, 2.15, 2.05, 2.12)]).findings

    assert finding.winner is None
    assert 5 <= finding.seeds_needed <= 20
    assert f"about {finding.seeds_needed} seeds on each side" in finding.sentence


def test_two_seeds_are_too_few_for_a_word_about_recipes():
    (finding,) = compare([*arm(32, 2.0, 2.0), *arm(16, 2.1, 2.1, 2.1)]).findings

    assert not finding.about_recipes
    assert "2 seeds on a side, 3 are needed" in finding.sentence


def test_a_recipe_against_itself_has_no_difference_to_find():
    found = compare(arm(32, 2.0, 2.1, 1.9, 2.05, 1.95, 2.1))

    assert found.findings == []
    assert "no difference to find" in found.summary[0] and "one recipe" in found.summary[0]


def test_several_comparisons_are_each_stricter():
    runs = [*arm(32, 2.0, 2.01, 1.99), *arm(16, 2.1, 2.11, 2.09)]

    alone = compare(runs).findings[0]
    among = compare([*runs, *arm(24, 2.0, 2.02, 1.98)]).findings[0]

    assert among.confidence == pytest.approx(0.975)
    assert among.interval.margin > alone.interval.margin


def test_other_tokenizers_on_the_same_text_are_compared_in_bits_per_byte():
    # Four bytes a token: 2 nats per token of these are 0.5 nats per byte.
    ours = member("bpe", 2.0, identity="b", bytes_each=4, tokens=500)
    theirs = member("char", 0.6, identity="c", width=16, bytes_each=1, tokens=2000)

    (finding,) = compare([ours, theirs]).findings

    assert finding.interval.difference == pytest.approx((0.6 - 0.5) / np.log(2), rel=1e-6)
    assert "bits per byte" in finding.sentence


def test_other_text_is_not_compared():
    found = compare([member("a", 2.0), member("b", 1.0, identity="x", text="y", width=16)])

    assert found.findings == []
    assert "different text" in found.summary[0]


def test_documents_are_the_stretches_where_there_are_enough():
    runs = [member("a", 2.0), member("b", 2.1, width=16)]
    for run in runs:
        object.__setattr__(run, "document_starts", np.arange(0, 2000, 100))

    ruler = Ruler.of(runs)

    assert ruler.stretch == "document"
    clusters = ruler.clusters(runs[1:], runs[:1])
    assert clusters.sizes.sum() == 2000
    assert set(clusters.sizes.tolist()) == {99.0, 100.0, 101.0} & set(clusters.sizes.tolist())
    assert clusters.mean == pytest.approx(0.1)
