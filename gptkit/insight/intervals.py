"""How sure a difference is: intervals over stretches of text, over seeds, and over both.

    one checkpoint against another     only the text is a sample: neighbouring tokens are alike, so
                                       whole stretches of it (clusters) are what varies
    one recipe against another         the seeds are a sample too, and a small one: Student's t

Nothing here knows a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

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


@dataclass(frozen=True)
class Seeds:
    """Runs of one recipe on the same K stretches of text: N seeds, 2 or more."""

    sums: Array
    """(N, K) loss of each seed on each stretch."""
    sizes: Array
    """(K,) what each sum is over: tokens, or bytes."""

    @property
    def losses(self) -> Array:
        """(N,) loss of each seed per token, or byte."""
        losses: Array = self.sums.sum(axis=1) / self.sizes.sum()
        return losses

    @property
    def mean_sums(self) -> Array:
        """(K,) mean over the seeds."""
        mean: Array = self.sums.mean(axis=0)
        return mean

    @property
    def variance(self) -> float:
        """Of the mean loss, were other seeds drawn."""
        return float(self.losses.var(ddof=1)) / len(self.sums)

    @property
    def luck(self) -> float:
        """The part of `variance` that comes from stretches on which a seed did better or worse than the others.

        The interaction of a two-way layout, seeds by stretches: what is left of each sum without the loss of
        its seed and the mean of its stretch.
        """
        seeds, stretches = len(self.sums), len(self.sizes)
        rest = self.sums - self.losses[:, None] * self.sizes
        own = rest - rest.mean(axis=0)
        squares = float((own**2).sum()) / float(self.sizes.sum()) ** 2
        return squares * (stretches / max(stretches - 1, 1)) / ((seeds - 1) * seeds)


def between_checkpoints(clusters: Clusters, confidence: float = 0.95) -> Interval:
    """Return the interval for two checkpoints on text of this kind."""
    if len(clusters.sums) < 2:
        return Interval(clusters.mean, math.inf)
    quantile = student_quantile(0.5 + confidence / 2, len(clusters.sums) - 1)
    return Interval(clusters.mean, quantile * math.sqrt(clusters.variance))


def between_recipes(ours: Seeds, theirs: Seeds, confidence: float = 0.95) -> Interval:
    """Return the interval for two recipes, mean of `ours` less that of `theirs`: seeds and text both vary.

    ours, theirs: two seeds or more each, on the same stretches of text. What the spread of the seeds holds
    already, each seed's luck on single stretches, is taken off the variance over the text; then the two add up.
    With as many seeds on both sides the spread is taken from all of them together (Student); otherwise each side
    has its own (Welch). Degrees of freedom of a sum of variances after Satterthwaite 1946.
    """
    seeds = [(side.variance, len(side.sums) - 1) for side in (ours, theirs)]
    if len(ours.sums) == len(theirs.sums):
        seeds = [(ours.variance + theirs.variance, 2 * (len(ours.sums) - 1))]
    text = Clusters(ours.mean_sums - theirs.mean_sums, ours.sizes)
    difference = float(ours.losses.mean() - theirs.losses.mean())
    if len(text.sums) < 2:
        return Interval(difference, math.inf)
    parts = [*seeds, (_of_text(text, ours, theirs), len(text.sums) - 1)]
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / max(sum(v**2 / n for v, n in parts), 1e-300)
    quantile = student_quantile(0.5 + confidence / 2, max(freedom, 1.0))
    return Interval(difference, quantile * math.sqrt(total))


def seeds_to_show(
    difference: float, ours: Seeds, theirs: Seeds, confidence: float = 0.95
) -> int | None:
    """Return how many seeds on each side would show a difference as large as this in four of five tries.

    The least n with (t(1/2 + confidence/2) + t(4/5)) * sqrt(seeds / n + text) <= |difference|, 2 n - 2 degrees of
    freedom. None where a hundred would be too few.
    """
    of_seeds = float(ours.losses.var(ddof=1) + theirs.losses.var(ddof=1))
    of_text = _of_text(Clusters(ours.mean_sums - theirs.mean_sums, ours.sizes), ours, theirs)
    for n in range(2, 101):
        quantiles = student_quantile(0.5 + confidence / 2, 2 * n - 2) + student_quantile(
            0.8, 2 * n - 2
        )
        if quantiles * math.sqrt(of_seeds / n + of_text) <= abs(difference):
            return n
    return None


def _of_text(text: Clusters, ours: Seeds, theirs: Seeds) -> float:
    """Return the variance over the text, of all seeds alike."""
    return max(0.0, text.variance - ours.luck - theirs.luck)


def student_quantile(probability: float, freedom: float) -> float:
    """Return t with P(T <= t) = probability for Student's distribution; probability above 0.5.

    >>> round(student_quantile(0.975, 4), 3)
    2.776
    """
    assert 0.5 < probability < 1 and freedom > 0
    t = NormalDist().inv_cdf(probability)  # below the answer, from where Newton's steps only rise
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    scale /= math.sqrt(freedom * math.pi)
    for _ in range(100):
        density = scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)
        step = (probability - _student_cdf(t, freedom)) / density
        t += step
        if step < 1e-9 * t:
            break
    return t


def _student_cdf(t: float, freedom: float) -> float:
    """Integrate the density from 0 to t > 0, as an angle: t = sqrt(n) tan(u) makes it cos(u)^(n - 1)."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    angles = np.linspace(0.0, math.atan(t / math.sqrt(freedom)), 401)
    values = np.cos(angles) ** (freedom - 1)
    width = float(angles[1] - angles[0])
    weights = np.ones(401)
    weights[1:-1:2], weights[2:-1:2] = 4, 2  # Simpson's rule
    return 0.5 + scale * width / 3 * float((weights * values).sum())
