"""The curves of preference tuning in words. A model that has not moved has a loss of ln 2."""

from __future__ import annotations

import math

from gptkit.recipes.report.verdict import Curve, Verdict

UNMOVED = math.log(2)
_LEARNED = 0.05  # share of ln 2 that must be gone
_ROSE = 0.02  # share by which a validation loss rises that has passed its best


def judge_pairs(train: Curve, val: Curve, accuracy: float | None) -> Verdict:
    """Return what the losses say, nats per pair; accuracy: at the best step, of held-out pairs."""
    curve = val or train
    if len(train) + len(val) < 3 or not curve:
        return Verdict("too early to tell", "the run has logged fewer than three losses")
    best_step, best = min(curve, key=lambda point: (point[1], point[0]))
    kind = "validation" if val else "training"
    if best > (1 - _LEARNED) * UNMOVED:
        return Verdict(
            "not learning",
            f"the best {kind} loss, {best:.3f}, is not below the {UNMOVED:.3f} of the model that it"
            f" began with by more than {_LEARNED:.0%}",
            ("try a higher optimizer.learning_rate, more steps, or a larger objective.beta.",),
        )
    share = (
        "" if accuracy is None else f"; of {accuracy:.0%} of held-out pairs it prefers the chosen"
    )
    last = val[-1][1] if val else best
    if last > (1 + _ROSE) * best:
        return Verdict(
            "overfitting",
            f"since step {best_step:,.0f} the validation loss rose from {best:.3f} to {last:.3f}{share}",
            ("gptkit uses the best checkpoint by itself; fewer steps or more pairs help.",),
        )
    return Verdict(
        "good",
        f"the best {kind} loss, {best:.3f}, is below the {UNMOVED:.3f} of the model that it began with{share}",
    )
