"""The demonstration: what it asks can be checked, and nothing held out is in a training file."""

import json
from random import Random

import demo_chat
import pytest
from instructions.tasks import DAYS, MONTHS, TASKS, draw, held_out, in_words

import gptkit


@pytest.mark.parametrize(
    ("number", "words"), [(0, "zero"), (11, "eleven"), (20, "twenty"), (36, "thirty-six")]
)
def test_numbers_in_words(number, words):
    assert in_words(number) == words


def result(answer):
    """What a statement says after its "is"; other answers whole."""
    return answer.rpartition(" is ")[2]


def test_every_answer_is_right():
    numbers = {in_words(number): number for number in range(50)}
    for case in draw(3000, seed=5):
        if case.task in ("arithmetic", "date"):
            statement, _, answer = case.answer.rpartition(" is ")
            assert statement in case.question
            what = statement.split()
        if case.task == "arithmetic":
            a, sign, b = (numbers.get(word, word) for word in what)
            assert numbers[answer] == (a + b if sign == "plus" else a - b)
        elif case.task == "date":
            names = DAYS if what[1].startswith("day") else MONTHS
            steps, side, place = numbers[what[0]], what[2], names.index(what[3])
            moved = place + (steps if side == "after" else -steps)
            assert answer == names[moved % len(names)]
        else:
            words = case.question.partition(": ")[2].split()
            changed = {"copy": words, "reverse": words[::-1], "sort": sorted(words)}
            assert case.answer == " ".join(changed.get(case.task, [w.upper() for w in words]))


def test_nothing_held_out_is_learned_from(tmp_path):
    demo_chat.write(tmp_path, 300, 3000, 500)

    asked = {
        json.loads(line)["prompt"]
        for name in ("chat.jsonl", "pairs.jsonl")
        for line in (tmp_path / name).open(encoding="utf-8")
    }
    cases = held_out(50)
    assert not asked & {case.question for case in cases}
    assert {case.task for case in cases} == set(TASKS)
    assert all(sum(case.task == task for case in cases) >= 10 for task in TASKS)


def test_a_wrong_answer_is_wrong_and_of_the_right_kind():
    cases = draw(300, seed=6)
    results = {
        case.task: {result(c.answer) for c in cases if c.task == case.task} for case in cases
    }

    wrong = demo_chat.wrong_answers(cases, seed=7)

    for case, answer in zip(cases, wrong, strict=True):
        assert answer != case.answer
        mixed = sorted(answer.split()) == sorted(case.answer.split())
        statement = case.answer.removesuffix(result(case.answer))
        assert mixed or (answer.startswith(statement) and result(answer) in results[case.task])


def test_cases_are_the_same_each_time():
    assert draw(50, seed=3) == draw(50, seed=3) != draw(50, seed=4)
    assert TASKS["sort"](Random(1)) == TASKS["sort"](Random(1))


def test_the_whole_way_in_short_form(tmp_path, monkeypatch, capsys):
    for name in ("GPTKIT_RUNS", "GPTKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_chat, "_HELD_OUT", 2)
    write = demo_chat.write
    monkeypatch.setattr(demo_chat, "write", lambda folder: write(folder, 300, 200))

    demo_chat.prove(1, tmp_path / "proof", {"training.max_steps": 2, "training.batch_size": 4})

    table = capsys.readouterr().out
    assert [line.split("|")[2].strip() for line in table.splitlines() if line.startswith("| 0")] == [
        "base", "full", "LoRA",
    ]  # fmt: skip
    assert gptkit.load(tmp_path / "proof/lora-0").tokenizer.chat is not None
    preferring = gptkit.train(
        "demo_preference",
        set={"model.init_from": str(tmp_path / "proof/full-0"), "training.max_steps": 2},
    )
    assert "val_reward_margin" in preferring.metrics[-1]
