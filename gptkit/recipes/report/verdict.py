"""A run's curves in words: not learning, learning, overfitting or good, with the numbers that say so.

    training diverged                                                     -> not learning
    best loss not 5 % below a unigram's: nothing but token frequencies
        the model knows the training text far better, and the text has
        structure that a bigram finds                                     -> overfitting
        else                                                              -> not learning
    validation loss rose again, or is far above the training loss         -> overfitting
    best loss not below a bigram's                                        -> learning
    else                                                                  -> good

Rules about ratios, not about absolute losses: they hold for any tokenizer. They were set with the runs of
tests/recipes/report/test_verdict_of_runs.py and the shipped configs in view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Curve = Sequence[tuple[float, float]]
"""(step, nats per token)."""
Name = Literal["too early to tell", "not learning", "learning", "overfitting", "good"]

_LEARNED = 0.05  # share of the unigram's loss that a model must save to have learned an order
_STRUCTURE = 0.03  # share that a bigram saves where tokens depend on the one before
_ROSE = 0.02  # share by which a validation loss rises that has passed its best
_GAP = 0.6  # a training loss below this share of the validation loss: text known by heart
_STILL_FALLING = 0.01  # share that the last fifth of the run brought
_TAIL = 0.1  # share of the run whose training losses are averaged for "now"


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on. Losses are nats per token."""

    train: Curve
    val: Curve
    """Empty where nothing was held out."""
    vocab_size: int
    baselines: Mapping[str, float]
    """By name: unigram, bigram and what else is known of the validation split."""

    @property
    def uniform(self) -> float:
        """ln V: every token equally likely."""
        return math.log(max(self.vocab_size, 2))


@dataclass(frozen=True)
class Verdict:
    """A word, and why."""

    name: Name
    because: str
    """One sentence with the numbers."""
    advice: tuple[str, ...] = ()
    """What to try; sentences."""

    @property
    def sentence(self) -> str:
        """The whole in one sentence."""
        return f"{self.name}: {self.because}"


def judge(evidence: Evidence) -> Verdict:
    """Return what the curves say."""
    if len(evidence.train) + len(evidence.val) < 3:
        return Verdict("too early to tell", "the run has logged fewer than three losses")
    train_now = _now(evidence.train)
    if train_now is not None and train_now > 1.5 * evidence.uniform:
        return _diverged(evidence, train_now)
    curve = evidence.val or evidence.train
    best_step, best = _best(curve) if evidence.val else (curve[-1][0], train_now or curve[-1][1])
    unigram = evidence.baselines.get("unigram", evidence.uniform)
    if best > (1 - _LEARNED) * unigram:
        return _nothing_general(evidence, best, unigram, train_now)
    return _overfitting(evidence, best_step, best, train_now) or _how_good(evidence, best)


def _diverged(evidence: Evidence, train_now: float) -> Verdict:
    return Verdict(
        "not learning",
        f"the training loss is {train_now:.2f} at the end, above the {evidence.uniform:.2f} nats of"
        " guessing every token alike: training diverged",
        ("lower optimizer.learning_rate, or lengthen the warmup (schedule.warmup).",),
    )


def _nothing_general(
    evidence: Evidence, best: float, unigram: float, train_now: float | None
) -> Verdict:
    which = "a unigram's" if "unigram" in evidence.baselines else "that of guessing,"
    kind = "validation" if evidence.val else "training"
    bigram = evidence.baselines.get("bigram", unigram)
    by_heart = evidence.val and train_now is not None and train_now < _GAP * best
    if by_heart and bigram < (1 - _STRUCTURE) * unigram:
        return Verdict(
            "overfitting",
            f"the training loss is {train_now:.3f}, but the validation loss was never below {best:.3f}"
            f" ({which} {unigram:.3f} nats): the model knows the training text by heart and little else",
            _AGAINST_OVERFITTING,
        )
    advice = ["if the text has structure, try a higher optimizer.learning_rate or more steps."]
    if by_heart:
        advice = ["what it learned of the training text helps nowhere else; is the text random?"]
    return Verdict(
        "not learning",
        f"the best {kind} loss, {best:.3f}, is not below {which} {unigram:.3f} nats by more than"
        f" {_LEARNED:.0%}: the model has found no order in the text beyond how often each token occurs",
        tuple(advice),
    )


_AGAINST_OVERFITTING = (
    "more text helps most; then a smaller model, model.dropout 0.1 to 0.3, or fewer steps.",
    "gptkit uses the best checkpoint by itself; training.patience ends such a run early.",
)


def _overfitting(
    evidence: Evidence, best_step: float, best: float, train_now: float | None
) -> Verdict | None:
    if not evidence.val or train_now is None:
        return None
    last = evidence.val[-1][1]
    rose = last > (1 + _ROSE) * best
    if rose and train_now < _at(evidence.train, best_step):
        return Verdict(
            "overfitting",
            f"since step {best_step:,.0f} the validation loss rose from {best:.3f} to {last:.3f}"
            f" while the training loss fell to {train_now:.3f}",
            _AGAINST_OVERFITTING,
        )
    if train_now < _GAP * last:
        return Verdict(
            "overfitting",
            f"the training loss is {train_now:.3f}, the validation loss {last:.3f}: the model knows"
            " the training text far better than other text of its kind",
            _AGAINST_OVERFITTING,
        )
    return None


def _how_good(evidence: Evidence, best: float) -> Verdict:
    kind = "validation" if evidence.val else "training"
    beaten = {name: loss for name, loss in evidence.baselines.items() if best < loss}
    advice = [] if evidence.val else ["nothing was held out: overfitting cannot be seen."]
    falling = _last_gain(evidence.val or evidence.train)
    if falling > _STILL_FALLING:
        advice.append(
            f"the last fifth of the run still brought {falling:.1%}: more steps would bring more"
            " (gptkit train CONFIG --extend-to STEPS)."
        )
    bigram = evidence.baselines.get("bigram")
    if bigram is not None and best >= bigram:
        return Verdict(
            "learning",
            f"the best {kind} loss, {best:.3f}, beats {_list(beaten, best)}, but not yet a bigram's"
            f" {bigram:.3f} nats",
            tuple(advice),
        )
    ahead = {name: loss for name, loss in evidence.baselines.items() if name not in beaten}
    not_yet = f", not {_list(ahead, best)}" if ahead else ""
    compared = _list(beaten, best) if beaten else f"guessing ({evidence.uniform:.3f})"
    return Verdict(
        "good",
        f"the best {kind} loss, {best:.3f} nats per token, beats {compared}{not_yet}"
        + (", and it does not overfit" if evidence.val else ""),
        tuple(advice),
    )


def _list(losses: Mapping[str, float], best: float) -> str:
    words = [
        f"{name} ({loss:.3f}) by {1 - best / loss:.0%}" if best < loss else f"{name} ({loss:.3f})"
        for name, loss in losses.items()
    ]
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def _now(curve: Curve) -> float | None:
    """Return the mean of the last tenth of a noisy curve, three points or more."""
    if not curve:
        return None
    count = max(3, round(_TAIL * len(curve)))
    last = [value for _, value in curve[-count:]]
    return sum(last) / len(last)


def _at(curve: Curve, step: float) -> float:
    """Return the mean of the three points of a curve that are nearest to a step."""
    nearest = sorted(curve, key=lambda point: abs(point[0] - step))[:3]
    return sum(value for _, value in nearest) / len(nearest)


def _best(curve: Curve) -> tuple[float, float]:
    return min(curve, key=lambda point: (point[1], point[0]))


def _last_gain(curve: Curve) -> float:
    """Return the share of the loss that the last fifth of the run took away."""
    end = curve[-1][0]
    before = [value for step, value in curve if step <= 0.8 * end]
    if not before:
        return 0.0
    level = sum(before[-3:]) / len(before[-3:]) if len(before) > 30 else before[-1]
    return 1 - curve[-1][1] / level if level > 0 else 0.0
