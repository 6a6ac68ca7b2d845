"""How sure a difference is: intervals over stretches of text, over seeds, and over both.

    one checkpoint against another     only the text is a sample: neighbouring tokens are alike, so
                                       whole stretches of it (clusters) are what varies
    one recipe against another         the seeds are a sample too, and a small one: Student's t

Nothing here knows a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A difference and what it may as well be."""

    difference: float
    margin: float
    """Half the width of the interval around it."""

    @property
    def is_clear(self) -> bool:
        """Whether 0 is outside."""
        return abs(self.difference) > self.margin


@dataclass(frozen=True)
class Clusters:
    """Sums of paired differences over stretches of text: (K,) each."""

    sums: Array
    sizes: Array
    """What each sum is over: tokens, or bytes."""

    @property
    def mean(self) -> float:
        """The difference per token, or byte."""
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def variance(self) -> float:
        """Of that mean, were the stretches another sample of the same kind of text.

        The sandwich estimate of a ratio of sums, with the factor for few clusters; infinite for one.
        """
        count = len(self.sums)
        if count < 2:
            return math.inf
        rest = self.sums - self.mean * self.sizes
        return float((rest**2).sum() / self.sizes.sum() ** 2 * count / (count - 1))


def between_checkpoints(clusters: Clusters, confidence: float = 0.95) -> Interval:
    """Return the interval for two checkpoints on text of this kind."""
    if len(clusters.sums) < 2:
        return Interval(clusters.mean, math.inf)
    quantile = student_quantile(0.5 + confidence / 2, len(clusters.sums) - 1)
    return Interval(clusters.mean, quantile * math.sqrt(clusters.variance))


def between_recipes(
    ours: Sequence[float], theirs: Sequence[float], clusters: Clusters, confidence: float = 0.95
) -> Interval:
    """Return the interval for two recipes, mean of `ours` less that of `theirs`: seeds and text both vary.

    ours, theirs: one loss per seed, 2 or more each; clusters: of the mean difference on the text. The variances of the
    two levels add up. With as many seeds on both sides the spread is taken from all of them together (Student);
    otherwise each side has its own (Welch). Degrees of freedom of a sum of variances after Satterthwaite 1946.
    """
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert len(a) > 1 and len(b) > 1
    parts = [
        (float(a.var(ddof=1)) / len(a), len(a) - 1),
        (float(b.var(ddof=1)) / len(b), len(b) - 1),
    ]
    if len(a) == len(b):
        parts = [(parts[0][0] + parts[1][0], 2 * (len(a) - 1))]
    if len(clusters.sums) < 2:
        return Interval(float(a.mean() - b.mean()), math.inf)
    parts.append((clusters.variance, len(clusters.sums) - 1))
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / max(sum(v**2 / n for v, n in parts), 1e-300)
    quantile = student_quantile(0.5 + confidence / 2, max(freedom, 1.0))
    return Interval(float(a.mean() - b.mean()), quantile * math.sqrt(total))


def student_quantile(probability: float, freedom: float) -> float:
    """Return t with P(T <= t) = probability for Student's distribution; probability above 0.5.

    >>> round(student_quantile(0.975, 4), 3)
    2.776
    """
    assert 0.5 < probability < 1 and freedom > 0
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, freedom: float) -> float:
    """Integrate the density from 0 to t > 0, as an angle: t = sqrt(n) tan(u) makes it cos(u)^(n - 1)."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    angles = np.linspace(0.0, math.atan(t / math.sqrt(freedom)), 2001)
    values = np.cos(angles) ** (freedom - 1)
    width = float(angles[1] - angles[0])
    weights = np.ones(2001)
    weights[1:-1:2], weights[2:-1:2] = 4, 2  # Simpson's rule
    return 0.5 + scale * width / 3 * float((weights * values).sum())
