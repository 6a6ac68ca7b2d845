"""What is odd about a text is found in texts that are odd in one way."""

from random import Random

import pytest

from gptkit.data.config import DataConfig
from gptkit.data.prepare import prepare_dataset
from gptkit.insight.text_facts import text_facts

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "and", "sees", "birds"]
CHANCE = Random(1)
LINES = [" ".join(CHANCE.choices(WORDS, k=12)) + "." for _ in range(400)]
PLAIN = "\n".join(LINES) + "\n"
CHINESE_LINES = [
    "".join(CHANCE.choices("春眠不觉晓处处闻啼鸟夜来风雨声", k=20)) for _ in range(300)
]
CHINESE = "。\n".join(CHINESE_LINES)


@pytest.fixture
def facts_of(tmp_path):
    """Return a function that gives the facts of a text, or of several as documents."""

    def find(*texts, tokenizer=None, most_bytes=10**9, context_length=16, **settings):
        paths = []
        for i, text in enumerate(texts):
            path = tmp_path / f"{i:03d}.txt"
            path.write_text(text, encoding="utf-8", newline="")
            paths.append(str(path))
        config = DataConfig.model_validate(
            {"source": {"paths": paths}, "tokenizer": tokenizer or {"name": "char"}, **settings}
        )
        dataset = prepare_dataset(config, cache_dir=tmp_path / "cache")
        return text_facts(dataset, context_length=context_length, most_bytes=most_bytes)

    return find


@pytest.mark.parametrize("text", [PLAIN, CHINESE], ids=["english", "chinese"])
@pytest.mark.parametrize("tokenizer", [{"name": "char"}, {"name": "bpe", "vocab_size": 400}])
def test_a_sound_text_has_no_warnings(facts_of, text, tokenizer):
    facts = facts_of(text, tokenizer=tokenizer)

    train, val = facts.splits
    assert facts.warnings == ()
    assert train.bytes + val.bytes == len(text.encode()) == facts.examined_bytes
    assert train.bytes_per_token == train.bytes / train.tokens
    assert 0 < train.used_tokens <= facts.vocab_size
    assert train.windows == (train.tokens - 1) // 16


def test_text_of_the_validation_split_that_stands_in_training_is_found(facts_of):
    # The last tenth is val: half of it copies the beginning of the text.
    copied = PLAIN[:1500]
    facts = facts_of(PLAIN + "\n".join(reversed(LINES[-20:])) + copied)

    assert facts.overlap["val"] > 0.3
    assert any(text.startswith("val:") and "word for word" in text for text in facts.warnings)
    assert facts_of(PLAIN).overlap["val"] < 0.01


def test_documents_and_lines_that_come_again_are_counted(facts_of):
    documents = [line * 3 for line in LINES[:60]]
    facts = facts_of(*documents, *documents[:20], val_fraction=0.3)

    assert sum(split.repeated_documents for split in facts.splits) == 20
    assert any("documents stood before" in text for text in facts.warnings)
    lines = facts_of((LINES[5] + "\n") * 30 + PLAIN)
    assert lines.splits[0].repeated_lines == pytest.approx(29 / 390, abs=0.02)


def test_control_characters_are_named(facts_of):
    facts = facts_of(PLAIN + "a\u200bbc\x07\ufeff" * 3 + PLAIN.upper())

    assert facts.controls["U+200B ZERO WIDTH SPACE"] == 3
    assert facts.controls["U+0007 control"] == 3
    assert any("control or invisible" in text for text in facts.warnings)


def test_damage_of_another_encoding_is_found(facts_of):
    facts = facts_of(PLAIN + "cafÃ© donâ€™t " * 4 + "caf\ufffd " * 5 + PLAIN.upper())

    assert facts.damaged == 8
    assert facts.replaced == 5
    assert len([text for text in facts.warnings if text.startswith("encoding")]) == 2


def test_accents_and_chinese_are_no_damage(facts_of):
    facts = facts_of(PLAIN + "Käse, ça va? Ünïcödé naïve “quotes” — São Paulo. " * 20 + CHINESE)

    assert facts.damaged == 0


def test_a_split_that_is_too_small_is_named(facts_of):
    facts = facts_of(PLAIN, val_fraction=0.005)

    assert any("raise data.val_fraction" in text for text in facts.warnings)


def test_a_large_text_is_looked_at_from_its_start(facts_of):
    facts = facts_of(PLAIN, most_bytes=2000, val_fraction=0.0)

    assert facts.examined_bytes == 2000
    assert facts.splits[0].bytes == len(PLAIN)
