from collections.abc import Sequence
from typing import Any

import pytest
import torch

from gptkit.errors import PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.generate import generate
from gptkit.generation.sampling import penalise_repetition
from gptkit.model import GPT
from tests.model.variants import CONTEXT_LENGTH, VARIANTS, tiny_model

PROMPT = [3, 1, 4, 1, 5]
GREEDY = SamplingConfig(temperature=0, max_new_tokens=7)
WILD = SamplingConfig(temperature=1.5, max_new_tokens=30)

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


def rows(model: GPT, prompt: Sequence[int], sampling: SamplingConfig, **kwargs: Any) -> list[Any]:
    """Return the samples, each a tuple of its tokens."""
    columns = list(generate(model, prompt, sampling, **kwargs))
    return [tuple(t for t in row if t is not None) for row in zip(*columns, strict=True)]


@torch.no_grad()
def greedy_without_cache(model: GPT, prompt: Sequence[int], num_tokens: int) -> tuple[int, ...]:
    tokens = list(prompt)
    for _ in range(num_tokens):
        tokens.append(model(torch.tensor([tokens]))[0, -1].argmax().item())
    return tuple(tokens[len(prompt) :])


@torch.no_grad()
def greedy_by_last_halves(model: GPT, prompt: Sequence[int], num_tokens: int) -> tuple[int, ...]:
    """Do what `slide` promises, without a cache: a full context shrinks to its last half."""
    half = CONTEXT_LENGTH // 2
    made: list[int] = []
    window = list(prompt) if len(prompt) <= CONTEXT_LENGTH else list(prompt[-half:])
    for _ in range(num_tokens):
        made.append(model(torch.tensor([window]))[0, -1].argmax().item())
        window.append(made[-1])
        if len(window) > CONTEXT_LENGTH:
            window = window[-half:]
    return tuple(made)


@every_variant
def test_greedy_with_the_cache_is_greedy_without(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)

    assert rows(model, PROMPT, GREEDY) == [greedy_without_cache(model, PROMPT, 7)]


@every_variant
@pytest.mark.parametrize("prompt", [[2], PROMPT, [*range(11), 0], list(range(10)) * 3])
def test_sliding_reads_the_last_half_again(settings: dict[str, Any], prompt: list[int]) -> None:
    model = tiny_model(**settings)
    sampling = SamplingConfig(temperature=0, max_new_tokens=40)

    assert rows(model, prompt, sampling) == [greedy_by_last_halves(model, prompt, 40)]


@pytest.mark.parametrize("context_length", [1, 2, 3])
def test_sliding_works_in_the_shortest_contexts(context_length: int) -> None:
    model = tiny_model(context_length=context_length)

    [sample] = rows(model, [3, 1], WILD)

    assert len(sample) == 30


@pytest.mark.parametrize("index", [0, 1, 4])
def test_a_sample_does_not_depend_on_how_many_there_are(index: int) -> None:
    model = tiny_model()

    samples = {n: rows(model, PROMPT, WILD, num_samples=n)[index] for n in range(index + 1, 8)}

    assert len(set(samples.values())) == 1


def test_samples_differ_from_each_other_and_by_seed() -> None:
    model = tiny_model()

    samples = rows(model, PROMPT, WILD, num_samples=5)
    others = rows(model, PROMPT, WILD.model_copy(update={"seed": 7}), num_samples=5)

    assert len(set(samples + others)) == 10


def test_the_same_seed_gives_the_same_samples_and_leaves_the_global_state_alone() -> None:
    model = tiny_model()
    before = torch.get_rng_state()

    first = rows(model, PROMPT, WILD, num_samples=2)

    assert rows(model, PROMPT, WILD, num_samples=2) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stop_token_ends_its_row_and_is_not_part_of_it() -> None:
    model = tiny_model()
    free = rows(model, PROMPT, WILD, num_samples=3)
    stop = free[0][4]

    stopped = rows(model, PROMPT, WILD, num_samples=3, stop_tokens=frozenset({stop}))

    ends = [row.index(stop) if stop in row else len(row) for row in free]
    assert stopped == [row[:end] for row, end in zip(free, ends, strict=True)]


def test_an_ended_row_gives_none_while_the_others_go_on() -> None:
    model = tiny_model()
    first, second = rows(model, PROMPT, WILD, num_samples=2)
    end = next(i for i, token in enumerate(first) if token not in second[: i + 1])
    stop_tokens = frozenset({first[end]})

    columns = list(generate(model, PROMPT, WILD, num_samples=2, stop_tokens=stop_tokens))

    ended, other = zip(*columns, strict=True)
    assert ended == first[:end] + (None,) * (len(columns) - end)
    assert other[: end + 1] == second[: end + 1]


def test_a_generation_says_why_each_sample_ended() -> None:
    model = tiny_model()
    stop = rows(model, PROMPT, GREEDY)[0][3]

    plain = generate(model, PROMPT, GREEDY)
    stopped = generate(model, PROMPT, GREEDY, stop_tokens=frozenset({stop}))
    full = generate(model, PROMPT, WILD, num_samples=2, on_overflow="stop")

    assert plain.finish_reasons == [None]
    for generation in (plain, stopped, full):
        list(generation)
    assert plain.finish_reasons == ["length"]
    assert stopped.finish_reasons == ["stop"]
    assert full.finish_reasons == ["context", "context"]


@pytest.mark.parametrize("length", [1, 5, CONTEXT_LENGTH])
def test_stopping_at_the_context_uses_all_of_it(length: int) -> None:
    model = tiny_model()

    [sample] = rows(model, [2] * length, WILD, on_overflow="stop")

    # The last token needs no place: it is not read any more.
    assert len(sample) == CONTEXT_LENGTH - length + 1


def test_a_prompt_beyond_the_context_is_refused_where_it_may_not_slide() -> None:
    with pytest.raises(PromptError, match="13 tokens, the model's context holds 12"):
        generate(tiny_model(), [2] * 13, GREEDY, on_overflow="stop")


def test_a_model_in_training_is_sampled_without_dropout_and_left_in_training() -> None:
    model = tiny_model(dropout=0.5)
    expected = rows(model, PROMPT, WILD)

    assert rows(model.train(), PROMPT, WILD) == expected
    assert model.training
    assert all(block.training for block in model.blocks)


def test_gradients_stay_switched_on_for_the_consumer() -> None:
    for _ in generate(tiny_model(), PROMPT, GREEDY):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_the_repetition_penalty_counts_the_prompt_and_the_new_tokens() -> None:
    model = tiny_model()
    sampling = SamplingConfig(temperature=0, repetition_penalty=3.0, max_new_tokens=7)

    [sample] = rows(model, PROMPT, sampling)

    tokens = list(PROMPT)
    for _ in range(7):
        logits = model(torch.tensor([tokens]))[0, -1]
        seen = torch.zeros_like(logits, dtype=torch.bool).index_fill_(0, torch.tensor(tokens), True)
        tokens.append(penalise_repetition(logits, seen, 3.0).argmax().item())
    assert sample == tuple(tokens[len(PROMPT) :])
