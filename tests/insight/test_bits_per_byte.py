"""The loss of eval by other ways: by hand on three tokenizers, in any batches, by transformers on the same weights."""

import math

import numpy as np
import pytest
import torch

from gptkit.data.batches import Batch, EvaluationWindows
from gptkit.data.shards import InMemoryTokens
from gptkit.insight.reading import bits_per_byte
from gptkit.insight.scores import score_tokens
from gptkit.interchange.architectures import GPT2
from gptkit.interchange.parameters import slots, to_theirs
from gptkit.model import GPT, ModelConfig
from gptkit.runtime.runtime import Runtime
from gptkit.tokenizers.config import TOKENIZERS
from gptkit.training.evaluate import evaluate

TEXT = "The owl looked up to the stars above. 猫头鹰仰望星空。\nHe said: naïve 🦉!\n" * 6
CONTEXT = 16


def make(section):
    section = TOKENIZERS.validate(section)
    size = len(TEXT.encode())
    return TOKENIZERS.build(
        section, lambda: iter([TEXT]), total_bytes=size, progress=lambda n: None
    )


TOKENIZERS_HERE = {
    "characters": {"name": "char"},
    "byte pairs": {"name": "bpe", "vocab_size": 280},
    "more byte pairs": {"name": "bpe", "vocab_size": 330, "pattern": "gpt2"},
}


@pytest.fixture(params=TOKENIZERS_HERE.values(), ids=TOKENIZERS_HERE)
def tokenizer(request):
    return make(request.param)


@pytest.fixture
def tokens(tokenizer):
    end = [] if tokenizer.end_of_text is None else [tokenizer.end_of_text]
    return InMemoryTokens(np.array([*end, *tokenizer.encode(TEXT), *end], np.uint32), np.array([0]))


@pytest.fixture
def model(tokenizer):
    config = ModelConfig(preset="gpt2", n_layer=2, n_head=2, n_embd=32, context_length=CONTEXT)
    model = GPT(config, tokenizer.vocab_size)
    model.init_weights(1)
    with torch.no_grad():  # further from uniform than a new model is
        for parameter in model.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
            )
    return model.eval()


@pytest.fixture
def runtime():
    return Runtime(torch.device("cpu"))


@torch.no_grad()
def by_hand(model, tokenizer, ids):
    """Return nats of all targets, and bits per byte, one window and one token at a time."""
    nats, byte_nats, num_bytes = 0.0, 0.0, 0
    for start in range(0, len(ids) - 1, CONTEXT):
        window = ids[start : start + CONTEXT + 1]
        probabilities = model(torch.tensor([window[:-1]]))[0].double().softmax(dim=-1)
        for place, target in enumerate(window[1:]):
            cost = -math.log(probabilities[place, target].item())
            nats += cost
            if target != tokenizer.end_of_text:
                byte_nats += cost
                num_bytes += len(tokenizer.decode_bytes([target]))
    return nats, byte_nats / math.log(2) / num_bytes


def test_bits_per_byte_are_those_of_a_computation_by_hand(model, tokenizer, tokens, runtime):
    ids = tokens.window(0, len(tokens)).tolist()

    scores = score_tokens(model, EvaluationWindows(tokens, CONTEXT), runtime)
    in_training = evaluate(
        model, EvaluationWindows(tokens, CONTEXT), runtime, tokenizer.token_bytes()
    )

    nats, bits = by_hand(model, tokenizer, ids)
    assert scores.nats.sum() == pytest.approx(nats, rel=1e-6)
    assert in_training.bits_per_byte == pytest.approx(bits, rel=1e-6)
    stands_for = tokenizer.token_bytes()[np.array(ids[1:])]
    assert bits_per_byte(scores.nats, stands_for) == pytest.approx(bits, rel=1e-6)


def in_batches(tokens, rows):
    """Return the same windows as `EvaluationWindows` gives, so many rows at a time."""
    whole = list(EvaluationWindows(tokens, CONTEXT))
    ids = torch.cat([batch.tokens for batch in whole]).split(rows)
    targets = torch.cat([batch.targets for batch in whole]).split(rows)
    return [Batch(*pair) for pair in zip(ids, targets, strict=True)]


def test_the_figure_does_not_depend_on_the_batch_size(model, tokens, runtime):
    found = [
        score_tokens(model, in_batches(tokens, rows), runtime).nats.mean()
        for rows in (1, 3, 7, 500)
    ]

    assert max(found) - min(found) < 1e-6


def test_transformers_has_the_same_loss_on_the_same_weights(model, tokens, runtime, tokenizer):
    from transformers import GPT2Config, GPT2LMHeadModel

    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.vocab_size, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2,
            resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        )
    ).eval()  # fmt: skip
    weights = to_theirs(model.state_dict(), slots(GPT2, model.config, tokenizer.vocab_size))
    loaded = theirs.load_state_dict(weights, strict=False)
    assert not loaded.unexpected_keys and set(loaded.missing_keys) <= {"lm_head.weight"}
    ids = tokens.window(0, 2 * CONTEXT + 1)
    scores = score_tokens(
        model, EvaluationWindows(InMemoryTokens(ids, np.array([0])), CONTEXT), runtime
    )

    nats = []
    for start in (0, CONTEXT):
        window = torch.from_numpy(ids[start : start + CONTEXT + 1].astype(np.int64))
        with torch.no_grad():
            logits = theirs(window[None, :-1]).logits[0]
        nats.append(torch.nn.functional.cross_entropy(logits, window[1:]).item())
    assert scores.nats.mean() == pytest.approx(np.mean(nats), abs=1e-4)
