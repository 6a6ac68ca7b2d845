"""Answers to the harness's requests, which are anything with `args`; the harness itself is not needed."""

from types import SimpleNamespace

import pytest
import torch

from gptkit.errors import ConfigError, PromptError
from gptkit.model import GPT, ModelConfig
from gptkit.recipes.load import Run
from gptkit.recipes.tasks.answers import Answers
from gptkit.tokenizers.config import TOKENIZERS, BPEConfig, CharConfig

TEXT = "The capital of France is Paris. 中国的首都是北京。北京是中国的首都。\n" * 20
CONTEXT = 24


def run_with(section):
    tokenizer = TOKENIZERS.build(
        section, lambda: iter([TEXT]), total_bytes=len(TEXT.encode()), progress=lambda n: None
    )
    config = ModelConfig(n_layer=1, n_head=2, n_embd=16, context_length=CONTEXT)
    model = GPT(config, tokenizer.vocab_size)
    model.init_weights(3)
    with torch.no_grad():  # a new model is too even to tell texts apart
        model.token_embedding.weight.mul_(20)
    return Run(model.eval(), tokenizer, SimpleNamespace(model=config), None, 1)


@pytest.fixture(
    scope="module", params=[CharConfig(), BPEConfig(vocab_size=320)], ids=["char", "bpe"]
)
def run(request):
    return run_with(request.param)


@pytest.fixture(scope="module")
def bpe():
    return run_with(BPEConfig(vocab_size=320))


@torch.no_grad()
def by_hand(run, before, after):
    """Return log P of the tokens `after` behind the tokens `before`, one window."""
    ids = [*before, *after][-CONTEXT - 1 :]
    log_probs = run.model(torch.tensor([ids[:-1]]))[0].double().log_softmax(dim=-1)
    return sum(log_probs[-len(after) + i, token].item() for i, token in enumerate(after))


def requests(*args):
    return [SimpleNamespace(args=one) for one in args]


def beginning(run):
    end = run.tokenizer.end_of_text
    return run.tokenizer.encode("\n") if end is None else [end]


def test_a_continuation_is_scored_behind_its_context(run):
    encode = run.tokenizer.encode
    asked = requests(("The capital of", " France"), ("The capital of", " Paris"))

    found = Answers(run).loglikelihood(asked)

    for (log_prob, _), (context, text) in zip(found, (one.args for one in asked), strict=True):
        assert log_prob == pytest.approx(by_hand(run, encode(context), encode(text)), abs=1e-4)


def test_spaces_at_the_end_of_a_context_belong_to_what_follows(run):
    found = Answers(run).loglikelihood(
        requests(("The capital ", "of"), ("The capital", " of"), (" ", "of"), ("", " of"))
    )

    assert found[0] == pytest.approx(found[1])
    assert found[2] == pytest.approx(found[3])


def test_a_text_behind_nothing_begins_a_document(run):
    tokens = run.tokenizer.encode("Paris")

    (single,) = Answers(run).loglikelihood(requests(("", "Paris")))
    (rolling,) = Answers(run).loglikelihood_rolling(requests(("Paris",)))

    expected = by_hand(run, beginning(run), tokens)
    assert single[0] == pytest.approx(expected, abs=1e-4)
    assert rolling == pytest.approx(expected, abs=1e-4)


def test_a_token_that_would_reach_over_the_border_is_not_used(bpe):
    # Chinese has no spaces: byte pairs join the end of a question and the beginning of its answer.
    encode = bpe.tokenizer.encode
    context, answer = "中国的首", "都是"
    assert encode(context + answer)[: len(encode(context))] != encode(context)

    (found,) = Answers(bpe).loglikelihood(requests((context, answer)))

    assert found[0] == pytest.approx(by_hand(bpe, encode(context), encode(answer)), abs=1e-4)


def test_a_long_text_has_every_token_once(bpe):
    text = TEXT[:280]
    tokens = bpe.tokenizer.encode(text)
    assert len(tokens) > 2 * CONTEXT

    (found,) = Answers(bpe).loglikelihood_rolling(requests((text,)))

    expected, whole = 0.0, [*beginning(bpe), *tokens]
    for start in range(1, len(whole), CONTEXT):
        end = min(start + CONTEXT, len(whole))
        expected += by_hand(bpe, whole[:start], whole[start:end])
    assert found == pytest.approx(expected, abs=1e-3)


def test_what_is_likeliest_is_what_is_written(run):
    answers = Answers(run)

    (text,) = answers.generate_until(requests(("The capital", {"until": [], "max_gen_toks": 4})))

    assert text == run.generate("The capital", max_new_tokens=4, temperature=0)


def test_texts_of_different_settings_come_in_the_order_asked(run):
    settings = [{"max_gen_toks": 3}, {"until": "a", "max_gen_toks": 9}, {"max_gen_toks": 3}]
    contexts = ["The", "The capital", "France"]

    found = Answers(run).generate_until(requests(*zip(contexts, settings, strict=True)))

    expected = [
        run.generate("The", max_new_tokens=3, temperature=0),
        run.generate("The capital", max_new_tokens=9, temperature=0, stop=["a"]),
        run.generate("France", max_new_tokens=3, temperature=0),
    ]
    assert found == expected
    assert "a" not in found[1]


def test_a_long_context_keeps_its_end_and_leaves_room(bpe):
    tokens = bpe.tokenizer.encode(TEXT[:200])
    answers = Answers(bpe)

    assert answers._prompt(TEXT[:200], 5) == tokens[-(CONTEXT - 5) :]
    assert answers._prompt(TEXT[:200], 1000) == tokens[-CONTEXT // 2 :]
    assert answers._prompt("", 5) == beginning(bpe)


def test_samples_are_drawn_where_a_task_asks_for_them(run):
    settings = {"do_sample": True, "temperature": 5.0, "top_k": 3, "max_gen_toks": 12}

    texts = Answers(run).generate_until(requests(*[("The", settings)] * 6))

    assert len(set(texts)) > 1
    assert Answers(run).generate_until(requests(*[("The", settings)] * 6)) == texts
    cold = Answers(run).generate_until(requests(("The", {**settings, "do_sample": False})))
    assert cold == [run.generate("The", max_new_tokens=12, temperature=0)]


def test_what_is_passed_over_is_said_once_and_what_cannot_be_is_refused(run):
    notes = []
    asked = requests(*[("The", {"max_gen_toks": 1, "typical_p": 0.5})] * 2)

    Answers(run, note=notes.append).generate_until(asked)

    assert notes == ["the tasks' setting typical_p is passed over"]
    with pytest.raises(ConfigError, match="beam"):
        Answers(run).generate_until(requests(("The", {"num_beams": 4})))


def test_a_character_without_a_token_is_named():
    with pytest.raises(PromptError, match="Ω"):
        Answers(run_with(CharConfig())).loglikelihood(requests(("The", " Ω")))
