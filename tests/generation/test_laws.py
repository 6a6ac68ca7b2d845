"""The laws of writing, on models small enough to read: with cache as without, together as alone, drawn as meant."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.generation.config import SamplingConfig
from gptkit.generation.decoder import PlainDecoder, build_decoder
from gptkit.generation.engine import Engine, Sample
from gptkit.generation.sampling import choose
from gptkit.generation.text import TextStream
from gptkit.model import GPT
from gptkit.tokenizers.bpe import BPETokenizer, train
from gptkit.tokenizers.config import BPEConfig
from tests.model.variants import randomise, tiny_config

VOCAB_SIZE = 101
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "learned_mha": {"preset": "gpt2"},
    "rotary_gqa": {"attention": {"n_kv_head": 2, "qk_norm": True}},
    "rotary_mqa": {"attention": {"n_kv_head": 1}},
    "window": {"attention": {"window": 9}},
    "softcap": {"logit_softcap": 5.0, "positions": {"name": "learned"}},
}
every_architecture = pytest.mark.parametrize("settings", ARCHITECTURES.values(), ids=ARCHITECTURES)


def model_of(settings: dict[str, Any]) -> GPT:
    config = tiny_config(**{"context_length": 48, "n_embd": 32, **settings})
    return randomise(GPT(config, VOCAB_SIZE)).eval()


def random_prompts(count: int, longest: int) -> list[list[int]]:
    rng = random.Random(0)
    return [
        [rng.randrange(VOCAB_SIZE) for _ in range(rng.randint(1, longest))] for _ in range(count)
    ]


def written(engine: Engine, prompts: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    samples = [Sample(prompt) for prompt in prompts]
    for _ in engine.run(samples, SamplingConfig(temperature=0, max_new_tokens=count)):
        pass
    return [sample.tokens for sample in samples]


@pytest.mark.usefixtures("way")
@every_architecture
@torch.no_grad()
def test_greedy_text_of_50_prompts_is_that_of_the_model_without_a_cache(
    settings: dict[str, Any],
) -> None:
    model = model_of(settings)
    prompts = random_prompts(50, longest=30)

    found = written(Engine(model), prompts, 12)

    for prompt, tokens in zip(prompts, found, strict=True):
        logits = model(torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 : -1]
        assert logits.argmax(-1).tolist() == tokens


@pytest.mark.usefixtures("way")
@every_architecture
def test_64_prompts_of_mixed_length_together_are_written_as_alone(
    settings: dict[str, Any],
) -> None:
    engine = Engine(model_of(settings))
    prompts = random_prompts(64, longest=60)

    together = written(engine, prompts, 8)

    assert together == [written(engine, [prompt], 8)[0] for prompt in prompts]


@every_architecture
def test_the_plain_decoder_writes_what_the_fast_one_does(settings: dict[str, Any]) -> None:
    model = model_of(settings)
    texts = random_prompts(5, longest=20)
    plain, fast = PlainDecoder(model), build_decoder(model)
    for decoder in (plain, fast):
        decoder.start(6)
        for text in texts:
            decoder.add(text)
        decoder.add(texts[0], as_row=0)
        decoder.drop(1)
        decoder.extend(2, [5, 6])
        decoder.clear(3)

    for tokens in ([1, 2, 3, 4, 5], [9, 8, 7, 6, 5]):
        torch.testing.assert_close(plain.step(tokens), fast.step(tokens), atol=1e-4, rtol=0)


FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "temperature": {"temperature": 0.6},
    "hot": {"temperature": 2.5},
    "top_k": {"top_k": 7},
    "top_p": {"top_p": 0.8},
    "min_p": {"min_p": 0.1},
    "penalty": {"repetition_penalty": 1.7},
    "bias": {"logit_bias": {3: 2.0, 5: -1e6}},
    "all": {
        "temperature": 1.3,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.02,
        "repetition_penalty": 1.2,
        "logit_bias": {1: 1.0},
    },
}


def intended(logits: Tensor, seen: Tensor, settings: dict[str, Any]) -> Tensor:
    """Return the distribution, worked out the long way: one token after another, in float64."""
    scores = logits.double().tolist()
    for token, bias in settings.get("logit_bias", {}).items():
        scores[token] += bias
    penalty = settings.get("repetition_penalty", 1.0)
    scores = [
        (s / penalty if s > 0 else s * penalty) if was else s
        for s, was in zip(scores, seen.tolist(), strict=True)
    ]
    p = (torch.tensor(scores, dtype=torch.float64) / settings.get("temperature", 1.0)).softmax(0)
    order = p.argsort(descending=True).tolist()
    kept = set(order[: settings.get("top_k") or len(order)])
    p = torch.tensor([p[i] if i in kept else 0.0 for i in range(len(p))]) / sum(p[i] for i in kept)
    total, nucleus = 0.0, []
    for token in order:
        if total < settings.get("top_p", 1.0):
            nucleus.append(token)
        total += float(p[token])
    p = torch.tensor([p[i] if i in nucleus else 0.0 for i in range(len(p))])
    p = torch.where(p / p.sum() >= settings.get("min_p", 0.0) * (p / p.sum()).max(), p, 0.0)
    return p / p.sum()


@pytest.mark.parametrize("settings", FILTERS.values(), ids=FILTERS)
def test_100000_draws_follow_the_intended_distribution(settings: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = 2 * torch.randn(300, generator=generator)  # more than one block of the draw
    seen = torch.rand(300, generator=generator) < 0.3
    sampling = SamplingConfig.model_validate({"temperature": 1.0, **settings})
    rows, counts = 500, torch.zeros(300)

    for _ in range(200):
        uniform = torch.rand(rows, generator=generator)
        tokens = choose(logits.expand(rows, -1), sampling, uniform, seen.expand(rows, -1))
        counts += tokens.bincount(minlength=300)

    expected = 100_000 * intended(logits, seen, settings)
    assert counts[expected == 0].sum() == 0
    common = expected >= 5
    rest = (expected > 0) & ~common
    observed = torch.cat((counts[common], counts[rest].sum().view(1)))
    meant = torch.cat((expected[common], expected[rest].sum().view(1))).clamp(min=1e-9)
    chi_square = float(((observed - meant) ** 2 / meant).sum())
    freedom = int(common.sum())
    # Wilson and Hilferty: the cube root of chi-square / freedom is nearly normal; p > 0.0001.
    spread = (2 / (9 * freedom)) ** 0.5
    assert ((chi_square / freedom) ** (1 / 3) - (1 - spread**2)) / spread < 3.7


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    texts = [
        "今天天气很好，我们去公园。",
        "naïve café 👩‍👩‍👧 e\u0301 e\u0301",
        "aaab aab ab the the thing\n",
    ]
    text = "\n".join(texts * 30)
    config = BPEConfig.model_validate({"vocab_size": 330})
    return train(config, lambda: [text], total_bytes=len(text), progress=lambda num_bytes: None)


@pytest.mark.parametrize("seed", range(20))
def test_streamed_text_is_the_final_text_of_100_random_token_sequences(
    seed: int, tokenizer: BPETokenizer
) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        tokens = rng.choices(range(tokenizer.vocab_size), k=rng.randrange(40))
        stream = TextStream(tokenizer)

        pieces = [*(stream.push(token) for token in tokens), stream.finish()]

        assert "".join(pieces) == tokenizer.decode(tokens)


@pytest.mark.parametrize("seed", range(10))
def test_50_random_texts_end_before_the_first_of_their_stop_strings(
    seed: int, tokenizer: BPETokenizer
) -> None:
    rng = random.Random(1000 + seed)
    for _ in range(50):
        tokens = tokenizer.encode("".join(rng.choices("aab天气", k=rng.randrange(30))))
        stops = ["".join(rng.choices("ab天", k=rng.randint(1, 4))) for _ in range(3)]
        text = tokenizer.decode(tokens)
        stream = TextStream(tokenizer, stops)

        shown = "".join([*(stream.push(token) for token in tokens), stream.finish()])

        starts = [text.index(stop) for stop in stops if stop in text]
        assert shown == text[: min(starts, default=len(text))]
        assert stream.stopped == bool(starts)
