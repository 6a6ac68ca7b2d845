"""Baselines of texts whose figures are known, and sizes as the command lines give them."""

import math
import shutil
import subprocess

import numpy as np
import pytest

from gptkit.data.shards import InMemoryTokens
from gptkit.errors import ConfigError
from gptkit.insight import baselines as module
from gptkit.insight.baselines import Scored, baselines, ngram_baselines
from gptkit.insight.compression import xz_bytes, zstd_bytes
from gptkit.tokenizers.config import TOKENIZERS, BPEConfig, CharConfig

TEXT = "The owl and the pussy-cat went to sea. 猫头鹰和小猫咪去航海。\n" * 30


def tokens_of(tokenizer, text):
    ids = tokenizer.encode(text)
    if tokenizer.end_of_text is not None:
        ids = [tokenizer.end_of_text, *ids, tokenizer.end_of_text]
    return InMemoryTokens(np.array(ids, np.uint32), np.array([0]))


def make_tokenizer(section):
    return TOKENIZERS.build(
        section, lambda: iter([TEXT]), total_bytes=len(TEXT.encode()), progress=lambda n: None
    )


@pytest.fixture(params=[CharConfig(), BPEConfig(vocab_size=300)], ids=["char", "bpe"])
def tokenizer(request):
    return make_tokenizer(request.param)


def test_each_baseline_is_in_nats_per_token_and_bits_per_byte_of_the_same_text(tokenizer):
    text = TEXT[:400]
    scored = tokens_of(tokenizer, text)
    num_bytes = len(text.encode())
    if tokenizer.end_of_text is None:
        num_bytes -= len(text[0].encode())  # the first is not scored

    found = {one.name: one for one in baselines(tokens_of(tokenizer, TEXT), scored, tokenizer)}

    uniform, xz = found["uniform"], found["xz"]
    with_bytes = len(tokenizer.encode(text)) - (tokenizer.end_of_text is None)
    assert uniform.loss == pytest.approx(math.log(tokenizer.vocab_size))
    assert uniform.bits_per_byte == pytest.approx(
        with_bytes * math.log2(tokenizer.vocab_size) / num_bytes
    )
    assert xz.loss * (len(scored) - 1) == pytest.approx(xz.bits_per_byte * math.log(2) * num_bytes)
    assert found["unigram"].loss > found["bigram"].loss > found["5-gram"].loss > 0


def test_compressors_read_the_text_and_no_special_tokens():
    tokenizer = make_tokenizer(BPEConfig(vocab_size=300))

    xz = baselines(None, tokens_of(tokenizer, TEXT), tokenizer)[1]

    assert xz.bits_per_byte == pytest.approx(8 * xz_bytes(TEXT.encode()) / len(TEXT.encode()))


def test_without_training_text_the_n_grams_are_left_out(tokenizer):
    found = baselines(None, tokens_of(tokenizer, TEXT), tokenizer)

    assert [one.name for one in found] == ["uniform", "xz", "zstd"]


def test_a_missing_extra_is_said_and_the_rest_is_there(tokenizer, monkeypatch):
    def missing(data):
        raise ConfigError("pip install 'gptkit[zstd]'")

    monkeypatch.setattr(module, "zstd_bytes", missing)
    notes = []

    found = baselines(None, tokens_of(tokenizer, TEXT), tokenizer, note=notes.append)

    assert [one.name for one in found] == ["uniform", "xz"]
    assert "gptkit[zstd]" in notes[0]


def test_a_unigram_of_known_frequencies_costs_its_entropy():
    train = np.array([0] * 750 + [1] * 250)
    scored = Scored(np.append(0, train), np.array([1, 1]))

    (unigram,) = ngram_baselines(train, scored, vocab_size=2, orders=(1,))

    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert unigram.loss == pytest.approx(entropy, abs=1e-3)
    assert unigram.bits_per_byte == pytest.approx(unigram.loss / math.log(2))


@pytest.mark.parametrize(
    ("command", "size_of"),
    [(["xz", "-9e"], xz_bytes), (["zstd", "-19"], zstd_bytes)],
    ids=["xz", "zstd"],
)
def test_sizes_are_those_of_the_command_line(command, size_of):
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    generator = np.random.default_rng(1)
    words = TEXT.split()
    data = " ".join(generator.choice(words, 20_000)).encode()

    theirs = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout

    assert size_of(data) == pytest.approx(len(theirs), rel=0.01)
