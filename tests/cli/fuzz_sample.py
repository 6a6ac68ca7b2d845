"""Random calls of `gptkit sample`: options, values and prompts that people and programs come up with."""

from __future__ import annotations

import random

_NUMBERS = [
    "0",
    "1",
    "2",
    "7",
    "-1",
    "1000",
    "nan",
    "inf",
    "-inf",
    "1e-300",
    "1e308",
    "",
    "x",
    "0.5",
    "1.5",
    "007",
    "１",
]
_TEXTS = [
    *("the ", "", " ", "\n", "-", "--", "é", "学", "😀", "e\u0301", "\ufeff", "\ufffd", "the \x00"),
    *("$(x)", "'", '"', "\\", "a" * 500, "<|endoftext|>", "\u2028", "\r\n", "\x1b[31m"),
    *("--json", "foxes", "---"),
]
_FILES = ["p.txt", "p.jsonl", "empty.txt", "bad.txt", "missing.txt", ".", "odd.jsonl", "-"]
_BIASES = [
    "0=1",
    "3=-1000000",
    "99999=1",
    "a=1",
    "1=",
    "=",
    "1=nan",
    "-1=2",
    "2=1e9",
    "1=0.5=2",
    "",
]
_OPTIONS = {
    "--max-new-tokens": ["1", "2", "9", "0", "-1", "x", "3.5", ""],
    "--temperature": _NUMBERS,
    "--top-k": _NUMBERS,
    "--top-p": _NUMBERS,
    "--min-p": _NUMBERS,
    "--repetition-penalty": [*_NUMBERS, "1e-45", "1e38"],
    "--seed": [*_NUMBERS, "-5", str(2**70), "1e3"],
    "--num-samples": ["1", "2", "5", "0", "-1", "x"],
    "--stop": _TEXTS,
    "--prompt": _TEXTS,
    "--prompt-file": _FILES,
    "--prompts-file": _FILES,
    "--logit-bias": _BIASES,
    "--on-overflow": ["slide", "stop", "", "x"],
    "--dtype": ["auto", "float32", "bfloat16", "int8", "float16", "", "int4"],
    "--checkpoint": ["best", "last", "6", "7", "", "-1"],
}
_FLAGS = ["--json", "--log-probs", "--no-echo", "--ignore-eos", "--interactive", "-"]
FILES = {
    "p.txt": b"the \nfoxes\n\nquick",
    "p.jsonl": b'{"prompt": "the "}\n"foxes"\n\n{"prompt": ""}\n',
    "odd.jsonl": b'{"prompt": 3}\n[]\n{',
    "empty.txt": b"",
    "bad.txt": b"the \xff\xfe",
}


def random_call(rng: random.Random) -> tuple[list[str], bytes]:
    """Return the arguments of a call after `sample`, and its standard input."""
    args = []
    for option in rng.sample(sorted(_OPTIONS), k=rng.randint(0, 4)):
        args += [option, rng.choice(_OPTIONS[option])]
    args += rng.sample(_FLAGS, k=rng.choice([0, 0, 1, 1, 2]))
    if "--max-new-tokens" not in args:
        args += ["--max-new-tokens", "3"]
    return args, rng.choice(_TEXTS).encode() + rng.choice([b"", b"\n", b"\xff"])
