from collections.abc import Sequence
from typing import Any

import pytest
import torch

from gptkit.errors import ConfigError, PromptError
from gptkit.generation.config import SamplingConfig
from gptkit.generation.decoder import build_decoder
from gptkit.generation.engine import Engine, Sample
from gptkit.generation.sampling import penalise_repetition
from gptkit.model import GPT
from tests.model.variants import CONTEXT_LENGTH, VARIANTS, tiny_model

PROMPT = [3, 1, 4, 1, 5]
GREEDY = SamplingConfig(temperature=0, max_new_tokens=7)
WILD = SamplingConfig(temperature=1.5, max_new_tokens=30)

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


def grown(
    model: GPT, prompts: Sequence[Sequence[int]], sampling: SamplingConfig, **kwargs: Any
) -> list[tuple[int, ...]]:
    """Return the tokens of one sample for each prompt, all written together."""
    samples = [Sample(prompt) for prompt in prompts]
    for _ in Engine(model).run(samples, sampling, **kwargs):
        pass
    return [tuple(sample.tokens) for sample in samples]


def rows(
    model: GPT,
    prompt: Sequence[int],
    sampling: SamplingConfig,
    *,
    num_samples: int = 1,
    **kwargs: Any,
) -> list[tuple[int, ...]]:
    """Return the tokens of each sample of one prompt."""
    samples = [Sample(prompt, i) for i in range(num_samples)]
    for _ in Engine(model).run(samples, sampling, **kwargs):
        pass
    return [tuple(sample.tokens) for sample in samples]


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


def test_an_ended_sample_is_not_yielded_while_the_others_go_on() -> None:
    model = tiny_model()
    first, second = rows(model, PROMPT, WILD, num_samples=2)
    end = next(i for i, token in enumerate(first) if token not in second[: i + 1])
    samples = [Sample(PROMPT, i) for i in range(2)]

    steps = list(Engine(model).run(samples, WILD, stop_tokens=frozenset({first[end]})))

    assert all(samples[0] in step for step in steps[: end + 1])
    assert not any(samples[0] in step for step in steps[end + 1 :])
    assert all(samples[1] in step for step in steps)


def test_a_sample_that_the_caller_ends_grows_no_further_and_changes_no_other() -> None:
    model = tiny_model()
    alone = rows(model, PROMPT, WILD, num_samples=4)
    samples = [Sample(PROMPT, i) for i in range(4)]

    for number, _ in enumerate(Engine(model).run(samples, WILD)):
        if number == 5:
            samples[1].finish_reason = "stop"

    assert samples[1].tokens == list(alone[1][:6])
    assert [tuple(samples[i].tokens) for i in (0, 2, 3)] == [alone[i] for i in (0, 2, 3)]


@pytest.mark.parametrize(
    ("stop_at", "kwargs", "reason"),
    [(None, {}, "length"), (3, {}, "eos"), (None, {"on_overflow": "stop"}, "context")],
)
def test_a_sample_says_why_it_ended(
    stop_at: int | None, kwargs: dict[str, Any], reason: str
) -> None:
    model = tiny_model()
    sampling = GREEDY.model_copy(update={"max_new_tokens": 7 if reason == "length" else 20})
    if stop_at is not None:
        kwargs = {"stop_tokens": frozenset({rows(model, PROMPT, sampling)[0][stop_at]})}
    sample = Sample(PROMPT)
    engine = Engine(model)
    assert sample.finish_reason is None

    for _ in engine.run([sample], sampling, **kwargs):
        pass

    assert sample.finish_reason == reason


@pytest.mark.parametrize("length", [1, 5, CONTEXT_LENGTH])
def test_stopping_at_the_context_uses_all_of_it(length: int) -> None:
    model = tiny_model()

    [sample] = rows(model, [2] * length, WILD, on_overflow="stop")

    # The last token needs no place: it is not read any more.
    assert len(sample) == CONTEXT_LENGTH - length + 1


def test_a_prompt_beyond_the_context_is_refused_where_it_may_not_slide() -> None:
    with pytest.raises(PromptError, match="13 tokens, the model's context holds 12"):
        Engine(tiny_model()).run([Sample([2] * 13)], GREEDY, on_overflow="stop")


def test_a_model_in_training_is_sampled_without_dropout_and_left_in_training() -> None:
    model = tiny_model(dropout=0.5)
    expected = rows(model, PROMPT, WILD)

    assert rows(model.train(), PROMPT, WILD) == expected
    assert model.training
    assert all(block.training for block in model.blocks)


def test_gradients_stay_switched_on_for_the_consumer() -> None:
    for _ in Engine(tiny_model()).run([Sample(PROMPT)], GREEDY):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_the_repetition_penalty_counts_the_prompt_and_the_new_tokens() -> None:
    model = tiny_model()
    sampling = SamplingConfig(temperature=0, repetition_penalty=3.0, max_new_tokens=7)

    [sample] = rows(model, PROMPT, sampling)

    tokens = list(PROMPT)
    for _ in range(7):
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0, -1]
        seen = torch.zeros_like(logits, dtype=torch.bool).index_fill_(0, torch.tensor(tokens), True)
        tokens.append(penalise_repetition(logits, seen, 3.0).argmax().item())
    assert sample == tuple(tokens[len(PROMPT) :])


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
every_precision = pytest.mark.parametrize("dtype", PRECISIONS.values(), ids=PRECISIONS)


@pytest.mark.usefixtures("way")
@every_variant
@every_precision
def test_prompts_of_any_lengths_together_give_what_each_gives_alone(
    settings: dict[str, Any], dtype: torch.dtype
) -> None:
    model = tiny_model(**settings).to(dtype)
    prompts = [[i % 11 for i in range(length)] for length in (1, 30, 4, 12, 4, 11, 13)]
    sampling = SamplingConfig(temperature=1.5, max_new_tokens=CONTEXT_LENGTH + 2)

    together = grown(model, prompts, sampling)

    assert together == [grown(model, [prompt], sampling)[0] for prompt in prompts]


@pytest.mark.usefixtures("way")
@every_variant
@every_precision
def test_a_sample_is_the_same_among_one_to_sixteen(
    settings: dict[str, Any], dtype: torch.dtype
) -> None:
    model = tiny_model(**settings).to(dtype)
    sampling = SamplingConfig(temperature=1.5, max_new_tokens=CONTEXT_LENGTH - 2)

    all_samples = rows(model, PROMPT, sampling, num_samples=16)

    for count in (1, 3, 8, 15):
        assert rows(model, PROMPT, sampling, num_samples=count) == all_samples[:count]


@every_variant
@torch.no_grad()
def test_logits_with_the_cache_are_those_without(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)
    texts = [[1], [2, 7, 1, 8, 2, 8], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]]
    decoder = build_decoder(model)
    decoder.start(3)
    for text in texts:
        decoder.add(text[:-1])

    logits = decoder.step([text[-1] for text in texts])

    expected = torch.stack([model(torch.tensor([text]))[0, -1] for text in texts])
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


def test_more_samples_than_there_is_room_for_wait_and_are_no_different(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model()
    expected = rows(model, PROMPT, WILD, num_samples=7)

    monkeypatch.setattr("gptkit.generation.rows._MOST_ROWS", 3)

    assert rows(model, PROMPT, WILD, num_samples=7) == expected


def test_two_runs_of_one_engine_may_take_turns() -> None:
    engine = Engine(tiny_model())
    ones, others = [Sample([1, 2]), Sample([3])], [Sample([4, 5, 6])]
    expected = grown(tiny_model(), [[1, 2], [3], [4, 5, 6]], WILD)

    for _ in zip(engine.run(ones, WILD), engine.run(others, WILD), strict=True):
        pass

    assert [tuple(sample.tokens) for sample in ones + others] == expected


def test_an_abandoned_run_leaves_nothing_behind() -> None:
    engine = Engine(tiny_model())
    next(iter(engine.run([Sample([1]), Sample([2])], WILD)))
    sample = Sample(PROMPT)

    list(engine.run([sample], WILD))

    assert [tuple(sample.tokens)] == rows(tiny_model(), PROMPT, WILD)


@every_variant
def test_a_kept_text_goes_on_as_if_it_were_read_anew(settings: dict[str, Any]) -> None:
    model = tiny_model(**settings)
    engine = Engine(model)
    text: list[int] = []
    for turn, added in enumerate([[1, 2], [3], [5, 4, 6, 7], [9]]):
        text += added
        kept, anew = Sample(list(text), turn), Sample(list(text), turn)

        list(engine.run([kept], GREEDY.model_copy(update={"max_new_tokens": 3}), keep=True))
        list(Engine(model).run([anew], GREEDY.model_copy(update={"max_new_tokens": 3})))

        assert kept.tokens == anew.tokens
        text += kept.tokens


def test_log_probabilities_are_those_of_the_model_before_any_filter() -> None:
    model = tiny_model()
    sampling = SamplingConfig(temperature=0.5, top_k=2, logit_bias={3: 5.0}, max_new_tokens=6)
    sample = Sample(PROMPT)

    list(Engine(model).run([sample], sampling, log_probs=True))

    with torch.no_grad():
        logits = model(torch.tensor([[*PROMPT, *sample.tokens]]))[0, len(PROMPT) - 1 : -1]
    expected = logits.log_softmax(-1).gather(1, torch.tensor(sample.tokens).unsqueeze(1))
    torch.testing.assert_close(
        torch.tensor(sample.log_probs), expected.squeeze(1), atol=1e-4, rtol=0
    )


def test_a_bias_on_a_token_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="no token 11; the last is 10"):
        Engine(tiny_model()).run([Sample([1])], SamplingConfig(logit_bias={11: 1.0}))


def test_a_large_bias_forces_a_token_and_forbids_another() -> None:
    model = tiny_model()

    [forced] = rows(model, PROMPT, SamplingConfig(logit_bias={7: 1e6}, max_new_tokens=5))
    free = rows(model, PROMPT, WILD, num_samples=8)
    wild = WILD.model_copy(update={"logit_bias": {4: -1e6}})
    without = rows(model, PROMPT, wild, num_samples=8)

    assert forced == (7,) * 5
    assert any(4 in sample for sample in free)
    assert not any(4 in sample for sample in without)
