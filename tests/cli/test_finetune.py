"""gptkit finetune: train's loop on conversations."""

import json
import shutil

import pytest

from tests.cli.chatting import conversation, write_chat
from tests.data.sources.test_chat import BAD


def files(run):
    last = run / "checkpoints/step_00000006"
    return {path.name: path.read_bytes() for path in last.iterdir()}


def test_a_model_learns_answers_and_resumes_to_the_same_bytes(chat_project, gptkit):
    whole = gptkit("finetune", "ft.yaml", "--run-dir", "whole")
    shutil.copytree("whole", "cut")
    rest = gptkit("finetune", "ft.yaml", "--resume", "cut/checkpoints/step_00000003")

    assert (whole.code, rest.code) == (0, 0), whole.err + rest.err
    assert (chat_project / "cut/checkpoints/step_00000006.abandoned").is_dir()
    assert files(chat_project / "whole") == files(chat_project / "cut")
    tokenizer = json.loads(
        (chat_project / "whole/checkpoints/step_00000006/tokenizer.json").read_text("utf-8")
    )
    assert len(tokenizer["tokens"]) == 292
    assert "<|im_start|>" in tokenizer["chat"]["template"]
    rows = [
        json.loads(line) for line in (chat_project / "whole/metrics.jsonl").open(encoding="utf-8")
    ]
    scored = gptkit("eval", "whole", "--checkpoint", "last", "--json")
    assert json.loads(scored.out)["loss"] == pytest.approx(rows[-1]["val_loss"], abs=1e-5)


def test_what_finetune_needs_is_said(chat_project, gptkit):
    text = gptkit("finetune", "base.yaml")
    scratch = gptkit("finetune", "ft.yaml", "--set", "model.init_from=null")

    assert text.code == scratch.code == 2
    assert "model.init_from" in text.err and "data.source" in text.err
    assert "model.init_from" in scratch.err and "data.source" not in scratch.err


def test_bad_data_end_with_2_and_nothing_is_written(chat_project, gptkit):
    write_chat(chat_project / "chat.jsonl", [conversation(0), {"messages": []}, conversation(1)])

    for extra in ([], ["--dry-run"]):
        result = gptkit("finetune", "ft.yaml", *extra)

        assert result.code == 2
        assert "chat.jsonl: line 2: field 'messages'" in result.err
    assert not (chat_project / "runs/ft").exists()


def test_each_kind_of_bad_data_ends_with_2_and_names_its_line(chat_project, gptkit):
    assert len(BAD) >= 20
    for row, words in BAD.values():
        line = row if isinstance(row, bytes) else json.dumps(row).encode()
        good = json.dumps(conversation(0)).encode()
        (chat_project / "chat.jsonl").write_bytes(b"\n".join([good, line, good]))

        result = gptkit("finetune", "ft.yaml", "--dry-run")

        assert result.code == 2
        assert "chat.jsonl: line 2: " in result.err and words in result.err


def test_a_template_that_refuses_a_conversation_names_its_line(chat_project, gptkit):
    template = "{% if messages[0]['content'] == 'fox 2?' %}{{ raise_exception('no foxes') }}{% endif %}" \
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"  # fmt: skip
    (chat_project / "mine.jinja").write_text(template, encoding="utf-8")

    result = gptkit("finetune", "ft.yaml", "--set", "data.source.template=mine.jinja")

    assert result.code == 2
    assert "chat.jsonl: line 3: the chat template refuses this conversation: no foxes" in result.err


def test_characters_have_no_special_tokens(chat_project, gptkit):
    assert gptkit("train", "my.yaml").code == 0

    result = gptkit("finetune", "ft.yaml", "--set", "model.init_from=runs/my")

    assert result.code == 2
    assert "a char tokenizer has no room for special tokens" in result.err


def test_few_conversations_are_held_out_whole(chat_project, gptkit):
    write_chat(chat_project / "chat.jsonl", map(conversation, range(3)))

    result = gptkit("prepare", "ft.yaml", "--json")

    facts = json.loads(result.out)
    assert {name: split["documents"] for name, split in facts["splits"].items()} == {
        "train": 2,
        "val": 1,
    }


def test_what_is_cut_is_counted(chat_project, gptkit):
    long = conversation(1)
    long["messages"][3]["content"] = "word " * 200
    write_chat(chat_project / "chat.jsonl", [*map(conversation, range(30)), *[long] * 3])

    result = gptkit("finetune", "ft.yaml")

    assert result.code == 0, result.err
    assert "are longer than 64 tokens and cut there" in result.err
