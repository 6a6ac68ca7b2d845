"""Six kinds of instructions, each as a sentence to read and as a question with one right answer.

    sentence    seven plus twelve is nineteen.
    question    What is seven plus twelve?       answer    seven plus twelve is nineteen

A model that was trained on the sentences knows what it is asked and not how to answer; that is what
fine-tuning teaches. A case is held out by a hash of its question: no training file has it. A sum or a day
that is held out in one wording was read as a sentence, and most are asked in another wording; what is
asked about words is new altogether. Sums and days are answered by the whole sentence, for a model recalls
what it read by going on where that began.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

_NUMBER_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
_MONTH_NAMES = (
    "January February March April May June July August September October November December"
)
_NOUNS = (
    "apple bird boat book bread chair cloud coat door fire fish flower garden glass gold hand"
    " house king lamp leaf light moon night paper rain river road rose salt sea snow star stone"
    " street sun table tree wall water wind"
)
_SMALL = _NUMBER_NAMES.split()
_TENS = ("twenty", "thirty", "forty")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = _MONTH_NAMES.split()
WORDS = _NOUNS.split()
_HELD_OUT_SHARE = 10
"""One case of so many is held out."""


@dataclass(frozen=True)
class Case:
    """One instruction."""

    task: str
    sentence: str
    question: str
    answer: str

    @property
    def is_held_out(self) -> bool:
        """Whether no training file has the question."""
        return hashlib.sha256(self.question.encode()).digest()[0] % _HELD_OUT_SHARE == 0


def in_words(number: int) -> str:
    """Return a number below fifty in words.

    >>> in_words(42)
    'forty-two'
    """
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


def arithmetic(random: Random) -> Case:
    """Return a sum or a difference in words."""
    a, b = random.randint(0, 20), random.randint(0, 20)
    if random.random() < 0.5:
        sign, result = "plus", a + b
    else:
        a, b = max(a, b), min(a, b)
        sign, result = "minus", a - b
    what = f"{in_words(a)} {sign} {in_words(b)}"
    statement = f"{what} is {in_words(result)}"
    asked = random.choice((f"What is {what}?", f"How much is {what}?", f"Work out {what}."))
    return Case("arithmetic", f"{statement}.", asked, statement)


def date(random: Random) -> Case:
    """Return a day or a month some steps before or after another."""
    names, unit = (DAYS, "day") if random.random() < 0.5 else (MONTHS, "month")
    place, steps = random.randrange(len(names)), random.randint(1, 6)
    side = random.choice(("before", "after"))
    result = names[(place + (steps if side == "after" else -steps)) % len(names)]
    distance = f"{in_words(steps)} {unit}{'s' if steps > 1 else ''} {side} {names[place]}"
    statement = f"{distance} is {result}"
    which = f"{unit} is {distance}"
    asked = random.choice(
        (f"Which {which}?", f"Tell me which {which}.", f"Name the {unit} that is {distance}.")
    )
    return Case("date", f"{statement}.", asked, statement)


def _about_words(
    task: str, order: str, sentence: str, change: Callable[[list[str]], list[str]]
) -> Callable[[Random], Case]:
    def make(random: Random) -> Case:
        words = random.sample(WORDS, 3)
        before, after = " ".join(words), " ".join(change(words))
        return Case(task, f"{before} {sentence} {after}.", f"{order}: {before}", after)

    return make


def _capitals(words: list[str]) -> list[str]:
    return [word.upper() for word in words]


def _reversed(words: list[str]) -> list[str]:
    return words[::-1]


TASKS: dict[str, Callable[[Random], Case]] = {
    "arithmetic": arithmetic,
    "date": date,
    "copy": _about_words("copy", "Say it again", "said again is", list),
    "reverse": _about_words("reverse", "Turn it around", "turned around is", _reversed),
    "sort": _about_words("sort", "Sort the words", "in order of letters is", sorted),
    "case": _about_words("case", "Write it in capitals", "in capitals is", _capitals),
}


def draw(count: int, seed: int) -> list[Case]:
    """Return so many cases, of all tasks alike, with repetitions."""
    random = Random(seed)
    tasks = list(TASKS.values())
    return [tasks[i % len(tasks)](random) for i in range(count)]


def held_out(count: int) -> list[Case]:
    """Return up to `count` different held-out cases of each task."""
    random = Random(0)
    chosen: list[Case] = []
    for make in TASKS.values():
        found = {case.question: case for case in (make(random) for _ in range(5000))}
        chosen += [case for case in found.values() if case.is_held_out][:count]
    return chosen
