"""A model that chats, in other programs: its template and the tokens that end an answer go along."""

import io
import json
import sys

import pytest

from gptkit.chat.encoding import ChatEncoder
from gptkit.tokenizers.store import load_tokenizer

TALK = [
    {"role": "user", "content": "fox 1?"},
    {"role": "assistant", "content": "dogs 你好"},
    {"role": "user", "content": "more"},
]


@pytest.fixture
def exported(chat_project, gptkit):
    assert gptkit("finetune", "ft.yaml").code == 0
    result = gptkit("export", "hf", "runs/ft", "--out", "out")
    assert result.code == 0, result.err
    return chat_project


def test_transformers_writes_the_same_conversation_and_stops_where_we_do(exported):
    transformers = pytest.importorskip("transformers")
    ours = load_tokenizer(next(exported.glob("runs/ft/checkpoints/step_*/tokenizer.json")))
    theirs = transformers.AutoTokenizer.from_pretrained("out")
    generation = json.loads((exported / "out/generation_config.json").read_text(encoding="utf-8"))

    card = (exported / "out/README.md").read_text("utf-8")
    assert "keep them out of what users say" in card
    assert "chat.jsonl (source `chat`), from the weights of another model on" in card
    encoded = theirs.apply_chat_template(TALK, add_generation_prompt=True, return_dict=True)
    assert encoded["input_ids"] == ChatEncoder(ours).prompt(TALK)
    assert generation["eos_token_id"] == [
        ours.special_tokens["<|im_end|>"],
        ours.special_tokens["<|endoftext|>"],
    ]


def test_it_comes_back_with_its_template(exported, gptkit, monkeypatch):
    result = gptkit("import", "hf", "out", "--out", "runs/back")
    assert result.code == 0, result.err
    back = load_tokenizer(next(exported.glob("runs/back/checkpoints/step_*/tokenizer.json")))
    ours = load_tokenizer(next(exported.glob("runs/ft/checkpoints/step_*/tokenizer.json")))

    monkeypatch.setattr(sys, "stdin", io.StringIO("fox 1?\n"))
    answered = gptkit("chat", "runs/back", "--max-new-tokens", "3")

    again = gptkit("export", "hf", "runs/back", "--out", "again", "--no-verify")
    assert again.code == 0, again.err
    card = (exported / "again/README.md").read_text("utf-8")
    assert "data: not known here, the weights were imported" in card
    assert back.chat == ours.chat
    assert ChatEncoder(back).prompt(TALK) == ChatEncoder(ours).prompt(TALK)
    assert answered.code == 0, answered.err


def test_gguf_says_it_too(exported, gptkit):
    gguf = pytest.importorskip("gguf")
    result = gptkit("export", "gguf", "runs/ft", "--out", "ft.gguf")
    assert result.code == 0, result.err

    fields = gguf.GGUFReader("ft.gguf").fields

    assert "<|im_start|>" in bytes(fields["tokenizer.chat_template"].parts[-1]).decode()
    assert int(fields["tokenizer.ggml.eot_token_id"].parts[-1][0]) == 291
