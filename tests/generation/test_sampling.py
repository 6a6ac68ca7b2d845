"""Filters: tables worked out by hand, and transformers' logits processors on random logits."""

import math

import pytest
import torch
import transformers
from pydantic import ValidationError
from torch import Generator, Tensor

from gptkit.errors import GptkitError
from gptkit.generation import sampling
from gptkit.generation.config import SamplingConfig
from gptkit.generation.native.draw import native_draw
from gptkit.generation.sampling import (
    apply_temperature,
    choose,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
)

VOCAB_SIZE = 97


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities).log()


def kept(logits: Tensor) -> list[int]:
    return torch.nonzero(logits > -torch.inf).flatten().tolist()


def random_logits(seed: int) -> Tensor:
    return 3 * torch.randn(4, VOCAB_SIZE, generator=Generator().manual_seed(seed))


def choose_one(logits: Tensor, seed: int = 0, **settings: float) -> int:
    config = SamplingConfig.model_validate(settings)
    uniform = torch.rand(1, generator=Generator().manual_seed(seed))
    return int(choose(logits.unsqueeze(0), config, uniform).item())


@pytest.mark.parametrize(
    ("k", "expected"), [(1, [2]), (2, [2, 3]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_top_k_keeps_the_k_likeliest(k: int, expected: list[int]) -> None:
    assert kept(keep_top_k(logits_of(0.05, 0.15, 0.5, 0.3), k)) == expected


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_keeps_exactly_k_where_all_are_equal(k: int) -> None:
    assert len(kept(keep_top_k(torch.zeros(5), k))) == k


@pytest.mark.parametrize(
    ("p", "expected"),
    [(0.0, [2]), (0.4, [2]), (0.6, [2, 3]), (0.79, [2, 3]), (0.9, [1, 2, 3]), (0.99, [0, 1, 2, 3])],
)
def test_top_p_keeps_the_fewest_that_reach_p(p: float, expected: list[int]) -> None:
    assert kept(keep_top_p(logits_of(0.05, 0.15, 0.5, 0.3), p)) == expected


@pytest.mark.parametrize(
    ("p", "expected"), [(0.05, [0, 1, 2, 3]), (0.2, [1, 2, 3]), (0.5, [2, 3]), (1.0, [2])]
)
def test_min_p_is_a_share_of_the_likeliest(p: float, expected: list[int]) -> None:
    assert kept(keep_min_p(logits_of(0.05, 0.15, 0.5, 0.3), p)) == expected


def test_the_penalty_pushes_seen_tokens_down_whatever_their_sign() -> None:
    logits = torch.tensor([2.0, -2.0, 0.0, 2.0])
    seen = torch.tensor([True, True, True, False])

    assert penalise_repetition(logits, seen, 2.0).tolist() == [1.0, -4.0, 0.0, 2.0]


def test_temperature_divides_the_differences() -> None:
    cooler = apply_temperature(torch.tensor([1.0, 3.0, 2.0]), 0.5)

    assert cooler.tolist() == [-4.0, 0.0, -2.0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 7, 50, 97])
def test_top_k_keeps_what_transformers_keeps(k: int, seed: int) -> None:
    logits = random_logits(seed)

    expected = transformers.TopKLogitsWarper(k)(None, logits)

    assert torch.equal(keep_top_k(logits, k), expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9, 0.99])
def test_top_p_keeps_what_transformers_keeps(p: float, seed: int) -> None:
    logits = random_logits(seed)

    expected = transformers.TopPLogitsWarper(p)(None, logits)

    assert torch.equal(keep_top_p(logits, p), expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 1.0])
def test_min_p_keeps_what_transformers_keeps(p: float, seed: int) -> None:
    logits = random_logits(seed)

    expected = transformers.MinPLogitsWarper(p)(None, logits)

    assert torch.equal(keep_min_p(logits, p), expected)


@pytest.mark.parametrize("penalty", [0.5, 1.1, 2.0])
def test_the_penalty_is_that_of_transformers(penalty: float) -> None:
    logits = random_logits(0)
    tokens = torch.randint(VOCAB_SIZE, (4, 20), generator=Generator().manual_seed(1))
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, tokens, True)

    expected = transformers.RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits)

    assert torch.equal(penalise_repetition(logits, seen, penalty), expected)


@pytest.mark.parametrize("seed", range(5))
def test_all_filters_together_keep_what_transformers_keeps(seed: int) -> None:
    logits = random_logits(seed)

    ours = keep_min_p(keep_top_p(keep_top_k(apply_temperature(logits, 1.4), 30), 0.9), 0.05)

    theirs = logits
    for warper in (
        transformers.TemperatureLogitsWarper(1.4),
        transformers.TopKLogitsWarper(30),
        transformers.TopPLogitsWarper(0.9),
        transformers.MinPLogitsWarper(0.05),
    ):
        theirs = warper(None, theirs)
    assert torch.equal(ours > -torch.inf, theirs > -torch.inf)
    torch.testing.assert_close(ours.softmax(-1), theirs.softmax(-1))


@pytest.fixture(params=["compiled", "torch"])
def each_draw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The draw both ways."""
    if request.param == "torch":
        monkeypatch.setattr(sampling, "native_draw", lambda: None)
    elif native_draw() is None:
        pytest.skip("no compiled draw here")


@pytest.mark.usefixtures("each_draw")
def test_a_draw_takes_the_token_where_the_summed_probability_passes() -> None:
    logits = logits_of(0.25, 0.5, 0.0, 0.25).expand(6, -1)
    uniform = torch.tensor([0.0, 0.2, 0.3, 0.74, 0.76, 1 - 2**-24])

    assert draw(logits, uniform).tolist() == [0, 0, 1, 1, 3, 3]


@pytest.mark.usefixtures("each_draw")
@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
@pytest.mark.parametrize("vocab_size", [5, 256, 257, 900])
def test_a_dropped_token_is_never_drawn(uniform: float, vocab_size: int) -> None:
    logits = torch.full((1, vocab_size), -torch.inf)
    logits[0, 4] = 0.0

    assert draw(logits, torch.tensor([uniform])).tolist() == [4]


@pytest.mark.skipif(native_draw() is None, reason="no compiled draw here")
@pytest.mark.parametrize("vocab_size", [1, 2, 65, 256, 257, 5000])
def test_the_compiled_draw_takes_what_torch_takes(
    vocab_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator().manual_seed(vocab_size)
    logits = 3 * torch.randn(4000, vocab_size, generator=generator)
    logits[:, 1:] = logits[:, 1:].where(logits[:, 1:] > -2, -torch.inf)
    uniform = torch.rand(4000, generator=generator)

    compiled = draw(logits, uniform)

    monkeypatch.setattr(sampling, "native_draw", lambda: None)
    same = compiled == draw(logits, uniform)
    # Where a number falls on the border of two tokens to seven digits, rounding decides.
    assert int((~same).sum()) <= 2


@pytest.mark.usefixtures("each_draw")
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_broken_weights_are_said_to_be_broken(broken: float, temperature: float) -> None:
    logits = torch.full((2, 300), -math.inf if broken < 0 else 0.0)
    logits[0] = 0.0
    logits[1, 280] = broken

    with pytest.raises(GptkitError, match="NaN"):
        choose(logits, SamplingConfig(temperature=temperature), torch.tensor([0.5, 0.0]))


@pytest.mark.usefixtures("each_draw")
def test_draws_follow_the_probabilities() -> None:
    probabilities = torch.tensor([0.5, 0.25, 0.125, 0.125])
    uniform = torch.rand(20_000, generator=Generator().manual_seed(0))

    counts = draw(probabilities.log().expand(20_000, -1), uniform).bincount(minlength=4)

    torch.testing.assert_close(counts / 20_000, probabilities, atol=0.015, rtol=0)


def test_temperature_zero_takes_the_likeliest_and_of_equal_ones_the_first() -> None:
    assert choose_one(torch.tensor([1.0, 3.0, 3.0, 2.0]), temperature=0) == 1


def test_temperature_zero_needs_no_random_number() -> None:
    assert choose(torch.tensor([[1.0, 2.0]]), SamplingConfig(temperature=0), None).tolist() == [1]


@pytest.mark.parametrize("temperature", [1e-300, 1e-30, 1e-8])
def test_a_tiny_temperature_is_as_good_as_zero(temperature: float) -> None:
    assert choose_one(torch.tensor([1.0, 3.0, 2.999]), temperature=temperature) == 1


def test_a_huge_temperature_makes_all_alike() -> None:
    logits = torch.tensor([0.0, 10.0])

    drawn = {choose_one(logits, seed, temperature=1e6) for seed in range(20)}

    assert drawn == {0, 1}


@pytest.mark.parametrize("settings", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_the_strictest_filters_leave_the_likeliest(settings: dict[str, float]) -> None:
    logits = torch.tensor([0.0, 1.0, 3.0, 2.0])

    assert {choose_one(logits, seed, **settings) for seed in range(20)} == {2}


@pytest.mark.parametrize("settings", [{"top_k": 0}, {"top_k": 99}, {"top_p": 1.0}, {"min_p": 0.0}])
def test_filters_can_be_off(settings: dict[str, float]) -> None:
    logits = torch.zeros(3)

    assert {choose_one(logits, seed, **settings) for seed in range(60)} == {0, 1, 2}


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
        {"max_new_tokens": 0},
        {"seed": 1.5},
        {"seed": True},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SamplingConfig.model_validate(settings)
