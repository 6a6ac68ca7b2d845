"""What a report measures: everything when it is asked for, and what takes no time at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gptkit.errors import GptkitError
from gptkit.insight.baselines import Baseline, Scored, all_tokens, ngram_baselines
from gptkit.insight.memorisation import Copies, find_copies
from gptkit.recipes.evaluate import Examination, examine
from gptkit.recipes.load import load_run
from gptkit.recipes.report.facts import RunFacts
from gptkit.recipes.report.verdict_of_pairs import UNMOVED

# So many tokens are counted in a quarter of a second; a bigram counted on fewer is too easy to beat.
_QUICK_TRAIN_TOKENS = 1_500_000
_QUICK_VAL_TOKENS = 60_000
QUICK_SEARCH_TOKENS = 1_500_000
"""So many are searched for copies at the end of a run."""


def quick_baselines(run: RunFacts) -> tuple[Baseline, ...]:
    """Return uniform, unigram and bigram; the latter from the beginning of the splits where they are long."""
    if run.of_pairs:
        return (Baseline("the model it began with", UNMOVED, None),)
    uniform = math.log(max(run.vocab_size, 2))
    splits = {} if run.dataset is None else run.dataset.manifest.splits
    is_chat = run.dataset is not None and run.dataset.is_chat  # n-grams know no speakers
    if run.dataset is None or is_chat or "val" not in splits or splits["val"].tokens < 2:
        return (Baseline("uniform", uniform, None),)
    held_out = all_tokens(run.dataset.split("val"), _QUICK_VAL_TOKENS)
    scored = Scored(held_out, run.tokenizer.token_bytes())
    counted = ngram_baselines(
        all_tokens(run.dataset.split("train"), _QUICK_TRAIN_TOKENS),
        scored,
        vocab_size=run.vocab_size,
        orders=(1, 2),
    )
    same = np.full(len(held_out) - 1, uniform)
    return (scored.figure("uniform", same), *counted)


def examination(
    run: RunFacts, checkpoint: Path, *, allow_plugins: bool, note: Callable[[str], None]
) -> Examination | None:
    """Return what `gptkit eval` finds on the validation split; None where its tokens or the model are not to be had.

    note: is told why.
    """
    if run.of_pairs:
        return None  # its log has all that is measured on pairs
    if run.dataset is None:
        note("the prepared tokens of this run are not here: nothing is measured anew")
        return None
    try:
        loaded = load_run(checkpoint, dtype="float32", allow_plugins=allow_plugins)
        return examine(loaded, note=note)
    except GptkitError as error:
        note(f"nothing is measured anew: {error}")
        return None


def copies(run: RunFacts, most_tokens: int | None = None) -> Copies | None:
    """Return what of the run's last sample stands word for word in its training text.

    most_tokens: of a training split that is searched; None: any. Returns None where there is nothing to search.
    """
    if run.dataset is None or not run.samples:
        return None
    train = run.dataset.split("train")
    if most_tokens is not None and len(train) > most_tokens:
        return None
    return find_copies(run.samples[-1].text, train, run.tokenizer)
