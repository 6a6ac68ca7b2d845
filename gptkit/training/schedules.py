"""Learning-rate schedules: pure functions of the step, all with warmup.

`factor(step, max_steps)` multiplies the optimizer's peak learning rate. `step` counts from 0. Under
a time budget the loop passes the share of time used as step / max_steps, so both may be fractions
of a step.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from gptkit.section import Choices, Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Section


class ScheduleConfig(Section):
    """What every schedule has: a linear warmup from near 0 to the peak."""

    warmup: Fraction = 0.02
    """Warmup as a fraction of the run."""
    warmup_steps: NonNegativeInt | None = None
    """Warmup in steps, in place of the fraction."""

    @model_validator(mode="after")
    def _one_warmup(self) -> ScheduleConfig:
        # The default beside warmup_steps is what a saved config holds.
        is_set = self.warmup != type(self).model_fields["warmup"].default
        if self.warmup_steps is not None and is_set:
            raise ValueError("warmup and warmup_steps say the same thing; give one")
        return self

    def warmup_length(self, max_steps: float) -> float:
        """Return the warmup in steps."""
        return self.warmup_steps if self.warmup_steps is not None else self.warmup * max_steps

    def factor(self, step: float, max_steps: float) -> float:
        """Return the learning rate at `step` as a fraction of its peak."""
        warmup = self.warmup_length(max_steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.after_warmup(step - warmup, max(1.0, max_steps - warmup))

    def after_warmup(self, step: float, max_steps: float) -> float:
        """Return the factor `step` steps after the warmup, of the `max_steps` that follow it."""
        raise NotImplementedError


class DecayConfig(ScheduleConfig):
    """A schedule that falls to a floor."""

    min_factor: Fraction = 0.1
    """Where it ends, as a fraction of the peak."""

    def between(self, share: float) -> float:
        """Return the factor that is `share` of the way from the floor to the peak."""
        return self.min_factor + (1.0 - self.min_factor) * share


class ConstantConfig(ScheduleConfig):
    """Warmup, then the peak to the end."""

    name: Literal["constant"] = "constant"

    def after_warmup(self, step: float, max_steps: float) -> float:
        return 1.0


class LinearConfig(DecayConfig):
    """Warmup, then a straight line down."""

    name: Literal["linear"] = "linear"

    def after_warmup(self, step: float, max_steps: float) -> float:
        return self.between(1.0 - min(1.0, step / max_steps))


class CosineConfig(DecayConfig):
    """Warmup, then half a cosine down.

    Reference: SGDR, arXiv:1608.03983, equation 5, without restarts.
    """

    name: Literal["cosine"] = "cosine"

    def after_warmup(self, step: float, max_steps: float) -> float:
        return self.between(_half_cosine(min(1.0, step / max_steps)))


class CosineRestartsConfig(DecayConfig):
    """Warmup, then cosines of equal or growing length, each from the peak.

    Reference: SGDR, arXiv:1608.03983, section 3.
    """

    name: Literal["cosine_restarts"] = "cosine_restarts"
    cycles: PositiveInt = 4
    """Cosines in the run."""
    cycle_growth: PositiveFloat = 1.0
    """Length of a cycle over that of the one before."""

    def after_warmup(self, step: float, max_steps: float) -> float:
        lengths = [self.cycle_growth**i for i in range(self.cycles)]
        position = min(step / max_steps, 1.0) * sum(lengths)
        for length in lengths[:-1]:
            if position < length:
                return self.between(_half_cosine(position / length))
            position -= length
        return self.between(_half_cosine(min(1.0, position / lengths[-1])))


class WSDConfig(DecayConfig):
    """Warmup, stable at the peak, then a straight line down.

    Reference: MiniCPM, arXiv:2404.06395, section 4; linear decay as in arXiv:2405.18392.
    """

    name: Literal["wsd"] = "wsd"
    min_factor: Fraction = 0.05
    """Where it ends, as a fraction of the peak."""
    decay: Fraction = 0.65
    """Decay as a fraction of the run."""
    decay_steps: PositiveInt | None = None
    """Decay in steps, in place of the fraction."""

    @model_validator(mode="after")
    def _fits_together(self) -> WSDConfig:
        if self.decay_steps is None and self.warmup_steps is None and self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup ({self.warmup}) and decay ({self.decay}) are fractions of one run:"
                " at most 1 together"
            )
        return self

    def decay_length(self, max_steps: float) -> float:
        """Return the decay in steps."""
        return self.decay_steps if self.decay_steps is not None else self.decay * max_steps

    def factor(self, step: float, max_steps: float) -> float:
        warmup = self.warmup_length(max_steps)
        decay = min(self.decay_length(max_steps), max(1.0, max_steps - warmup))
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if step < max_steps - decay or decay == 0:
            return 1.0
        return self.between(max(0.0, max_steps - step) / decay)


class OneCycleConfig(ScheduleConfig):
    """Up to the peak along a cosine, then down to almost nothing.

    Reference: Super-convergence, arXiv:1708.07120; the cosine form is that of torch's OneCycleLR.
    """

    name: Literal["one_cycle"] = "one_cycle"
    warmup: Fraction = 0.3
    """Rise as a fraction of the run."""
    start_factor: Fraction = 0.04
    """Where it starts, as a fraction of the peak."""
    min_factor: Fraction = 0.0001
    """Where it ends, as a fraction of the peak."""

    def factor(self, step: float, max_steps: float) -> float:
        warmup = self.warmup_length(max_steps)
        if step < warmup:
            return 1.0 - (1.0 - self.start_factor) * _half_cosine(step / warmup)
        share = (step - warmup) / max(1.0, max_steps - 1 - warmup)
        return self.min_factor + (1.0 - self.min_factor) * _half_cosine(min(1.0, share))


def _half_cosine(position: float) -> float:
    """Fall from 1 at position 0 to 0 at position 1."""
    return 0.5 * (1.0 + math.cos(math.pi * position))


SCHEDULES = Choices(
    "schedule",
    dict.fromkeys(
        (
            WSDConfig,
            ConstantConfig,
            LinearConfig,
            CosineConfig,
            CosineRestartsConfig,
            OneCycleConfig,
        )
    ),
    default="wsd",
)
