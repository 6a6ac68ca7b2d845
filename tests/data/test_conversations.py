"""Conversations in prepared folders."""

import json

import numpy as np
import pytest

from gptkit.chat.encoding import ChatEncoder
from gptkit.data.build import Machine
from gptkit.data.manifest import json_sha256
from gptkit.errors import ConfigError

BPE = {"name": "bpe", "vocab_size": 300}


def talk(i):
    turns = [
        ("user", f"say {i} 次"),
        ("assistant", "yes " * (i % 5 + 1)),
        ("user", "and?"),
        ("assistant", f"{i}"),
    ]
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "chat.jsonl"
    rows = [json.dumps({"messages": talk(i)}) for i in range(80)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return {"name": "chat", "paths": [str(path)]}


@pytest.mark.parametrize("shard_tokens", [1 << 20, 50])
def test_tokens_and_answers_are_kept_whatever_the_shards(source, prepare, shard_tokens, tokens_of):
    dataset = prepare(source, BPE, val_fraction=0.0, machine=Machine(shard_tokens=shard_tokens))
    encoder = ChatEncoder(dataset.tokenizer)
    encoded = [encoder.encode(talk(i)) for i in range(80)]

    split = dataset.split("train")

    assert tokens_of(dataset) == [token for one in encoded for token in one.tokens]
    assert split.targets().tolist() == [target for one in encoded for target in one.targets]
    assert (
        split.document_starts.tolist()
        == np.cumsum([0, *[len(one.tokens) for one in encoded[:-1]]]).tolist()
    )
    assert dataset.manifest.splits["train"].targets == split.targets().sum()
    assert (len(dataset.manifest.splits["train"].shards) > 10) == (shard_tokens == 50)


def test_the_sides_of_a_pair_follow_one_another(tmp_path, prepare, tokens_of):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"{i}?", "chosen": f"yes {i}", "rejected": "no " * (i + 1)} for i in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    dataset = prepare({"name": "preference", "paths": [str(path)]}, BPE, val_fraction=0.0)

    assert dataset.are_pairs and dataset.is_chat
    tokens, targets = np.array(tokens_of(dataset)), dataset.split("train").targets()
    starts = dataset.split("train").document_starts
    sides = [
        dataset.tokenizer.decode(ids[said].tolist())
        for ids, said in zip(
            np.split(tokens, starts[1:]), np.split(targets, starts[1:]), strict=True
        )
    ]
    expected = [row[side] + "<|im_end|>" for row in rows for side in ("chosen", "rejected")]
    assert sides == expected


def test_equal_conversations_never_part_and_none_is_cut(source, prepare, tokens_of):
    dataset = prepare(source, BPE, val_fraction=0.2)
    start = dataset.tokenizer.special_tokens["<|im_start|>"]

    for split in ("train", "val"):
        tokens, starts = tokens_of(dataset, split), dataset.split(split).document_starts
        assert all(tokens[first] == start for first in starts)
        ends = [*starts[1:], len(tokens)]
        assert all(tokens[a:b].count(start) == 4 for a, b in zip(starts, ends, strict=True))


def test_a_long_conversation_is_put_together_again(tmp_path, prepare, tokens_of):
    long = [{"role": "user", "content": "word\n" * 40_000}, {"role": "assistant", "content": "ok"}]
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"messages": long}), encoding="utf-8")

    dataset = prepare({"name": "chat", "paths": [str(path)]}, BPE, val_fraction=0.0)

    assert dataset.tokenizer.decode(tokens_of(dataset)).count("word\n") == 40_000


def test_special_tokens_come_from_the_source(source, prepare, tmp_path):
    template = tmp_path / "mine.jinja"
    text = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
        "{% if m['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    template.write_text(text, encoding="utf-8")
    names = ["<|user|>", "<|assistant|>", "<|end|>"]

    dataset = prepare({**source, "template": str(template), "special_tokens": names}, BPE)

    assert dataset.tokenizer.vocab_size == 303
    assert ChatEncoder(dataset.tokenizer).stop_tokens >= {
        dataset.tokenizer.special_tokens["<|end|>"]
    }


def test_characters_are_refused(source, prepare):
    with pytest.raises(ConfigError, match="no room for special tokens"):
        prepare(source, {"name": "char"})


def test_the_hash_of_plain_text_is_what_it_was_before_conversations(text_file, prepare):
    manifest = prepare(text_file).manifest
    splits = {name: split.model_dump(mode="json") for name, split in manifest.splits.items()}
    for split in splits.values():
        assert split.pop("targets") is None
        for shard in split["shards"]:
            assert shard.pop("targets_file") is shard.pop("targets_sha256") is None

    facts = {"dtype": manifest.dtype, "tokenizer": manifest.tokenizer.sha256, "splits": splits}
    assert manifest.identity == json_sha256(facts)
