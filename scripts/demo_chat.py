"""From sentences to answers: a small model learns to do what it is told, offline, in minutes.

    python scripts/demo_chat.py write                   # data/demo_chat/text.txt, chat.jsonl, pairs.jsonl
    gptkit train demo_chat_base                         # reads sentences
    python scripts/demo_chat.py score runs/demo_chat_base
    gptkit finetune demo_chat                           # learns to answer
    python scripts/demo_chat.py score runs/demo_chat
    gptkit finetune demo_preference                     # prefers right answers to wrong ones
    gptkit chat runs/demo_chat --temperature 0

`prove` does all of it for several seeds, with full fine-tuning and with LoRA, and prints a table.
The score is the share of held-out questions that are answered exactly, at temperature 0. A model
that was not taught to chat is given the question as a line, and its next line counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from instructions.tasks import TASKS, Case, draw, held_out

import gptkit
from gptkit.chat.encoding import ChatEncoder
from gptkit.generation.engine import Sample
from gptkit.recipes.load import Run
from gptkit.recipes.writing import Writing
from gptkit.tokenizers.bpe import BPETokenizer

FOLDER = Path("data/demo_chat")
_SENTENCES, _CONVERSATIONS, _PAIRS = 40_000, 8_000, 2_000
_HELD_OUT = 50
"""Questions of each task."""
_LONGEST_ANSWER = 32
LORA = {
    "adapter": {"name": "lora", "rank": 8, "alpha": 16},
    "optimizer.learning_rate": 5e-3,
}


def write(
    folder: Path,
    sentences: int = _SENTENCES,
    conversations: int = _CONVERSATIONS,
    pairs: int = _PAIRS,
) -> None:
    """Write the sentences to read, the conversations to learn from, and the pairs to prefer one of."""
    folder.mkdir(parents=True, exist_ok=True)
    read = draw(sentences, seed=1)
    text = "".join(f"{case.sentence}\n" for case in read)
    (folder / "text.txt").write_text(text, encoding="utf-8", newline="\n")
    asked = [case for case in draw(conversations, seed=2) if not case.is_held_out]
    _write_rows(
        folder / "chat.jsonl",
        [{"prompt": case.question, "response": case.answer} for case in asked],
    )
    compared = [case for case in draw(pairs, seed=3) if not case.is_held_out]
    _write_rows(
        folder / "pairs.jsonl",
        [
            {"prompt": case.question, "chosen": case.answer, "rejected": wrong}
            for case, wrong in zip(compared, wrong_answers(compared, seed=4), strict=True)
        ],
    )


def wrong_answers(cases: Sequence[Case], seed: int) -> list[str]:
    """Return a wrong answer of the right kind for each case: its words in another order, or another case's result."""
    random = Random(seed)
    wrong = []
    for case in cases:
        statement, is_, _ = case.answer.rpartition(" is ")
        others = [other.answer for other in cases if other.task == case.task]
        words = case.answer.split()
        answer = case.answer
        while answer == case.answer:
            if is_:
                answer = f"{statement} is {random.choice(others).rpartition(' is ')[2]}"
            else:
                answer = " ".join(random.sample(words, len(words)))
        wrong.append(answer)
    return wrong


def _write_rows(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def score(run: Run, cases: list[Case]) -> dict[str, float]:
    """Return the share of exact answers by task, and of all."""
    answers = _answers(run, [case.question for case in cases])
    right: Counter[str] = Counter()
    for case, answer in zip(cases, answers, strict=True):
        right[case.task] += answer.strip() == case.answer
    total = Counter(case.task for case in cases)
    shares = {task: right[task] / total[task] for task in TASKS}
    return {**shares, "all": right.total() / len(cases)}


def _answers(run: Run, questions: list[str]) -> list[str]:
    tokenizer = run.tokenizer
    if isinstance(tokenizer, BPETokenizer) and tokenizer.chat is not None:
        encoder = ChatEncoder(tokenizer)
        prompts = [encoder.prompt([{"role": "user", "content": text}]) for text in questions]
        stop_tokens, stop = encoder.stop_tokens, encoder.stop_texts
    else:
        prompts = [tokenizer.encode(f"{text}\n") for text in questions]
        stop_tokens, stop = frozenset(), ("\n",)
    samples = [Sample(prompt, index) for index, prompt in enumerate(prompts)]
    writing = Writing(
        run.engine,
        tokenizer,
        samples,
        stop_tokens=stop_tokens,
        stop=stop,
        temperature=0.0,
        max_new_tokens=_LONGEST_ANSWER,
    )
    return [writing.text(i) for i in range(len(samples))]


def prove(seeds: int, runs: Path, more: Mapping[str, Any]) -> None:
    """Train, fine-tune and score for several seeds; print a line each."""
    write(FOLDER)
    cases = held_out(_HELD_OUT)
    print(f"{len(cases)} held-out questions; share answered exactly\n")
    print("| seed | model | " + " | ".join((*TASKS, "all")) + " | seconds |")
    print("|---|---|" + "---|" * (len(TASKS) + 2))
    for seed in range(seeds):
        base = runs / f"base-{seed}"
        settings = {"training.seed": seed, **more}
        from_base = {**settings, "model.init_from": str(base)}
        steps: list[tuple[str, str, Path, Mapping[str, Any]]] = [
            ("base", "demo_chat_base", base, settings),
            ("full", "demo_chat", runs / f"full-{seed}", from_base),
            ("LoRA", "demo_chat", runs / f"lora-{seed}", {**from_base, **LORA}),
        ]
        for name, config, folder, set_ in steps:
            start = time.monotonic()
            run = gptkit.train(config, set={**set_, "run_dir": str(folder)})
            seconds = time.monotonic() - start
            shares = score(run, cases).values()
            cells = " | ".join(f"{share:.2f}" for share in shares)
            print(f"| {seed} | {name} | {cells} | {seconds:.0f} |", flush=True)


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write", help="write the files to learn from")
    scored = commands.add_parser("score", help="ask a run the held-out questions")
    scored.add_argument("run", type=Path)
    proved = commands.add_parser("prove", help="train, fine-tune and score")
    proved.add_argument("--seeds", type=int, default=3)
    proved.add_argument("--runs", type=Path, default=Path("runs/demo_chat_proof"))
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(FOLDER)
        print(f"{FOLDER}: text.txt, chat.jsonl and pairs.jsonl")
    elif arguments.command == "score":
        shares = score(gptkit.load(arguments.run), held_out(_HELD_OUT))
        print(json.dumps({task: round(share, 4) for task, share in shares.items()}))
    else:
        prove(arguments.seeds, arguments.runs, {})


if __name__ == "__main__":
    main()
