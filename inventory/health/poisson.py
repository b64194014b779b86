"""Exact limits of a Poisson mean, in the standard library alone.

Source: F. Garwood, Fiducial limits for the Poisson distribution, Biometrika 28 (1936): for a count
k the limits of the mean are the quantiles a/2 and 1 − a/2 of gamma distributions with shapes k and
k + 1 (half of the chi-square quantiles with 2k and 2k + 2 degrees of freedom).
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def cdf(count: int, mean: float) -> float:
    """P(N ≤ count) of a Poisson mean: the regularised upper incomplete gamma Q(count + 1, mean).

    By its series or its continued fraction (Numerical Recipes, 6.2), whichever converges.
    """
    if count < 0:
        return 0.0
    return 1.0 if mean <= 0 else _upper(count + 1, mean)


def interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The limits between which the mean lies if `count` was seen; the lower one is 0 for none."""
    tail = (1 - confidence) / 2
    # P(N ≥ count | low) = tail, P(N ≤ count | high) = tail.
    low = 0.0 if count == 0 else _root(lambda mean: 1 - cdf(count - 1, mean) - tail, count)
    high = _root(lambda mean: tail - cdf(count, mean), count + 1)
    return low, high


def quantile(mean: float, share: float) -> int:
    """The smallest count that is not exceeded with probability `share`.

    Looked for by halving, since a mean may be large.
    """
    low, high = -1, max(1, math.ceil(mean))
    while cdf(high, mean) < share:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if cdf(middle, mean) < share:
            low = middle
        else:
            high = middle
    return 0 if mean <= 0 else high


def _root(rising: Callable[[float], float], near: float) -> float:
    """Where a rising function of the mean crosses zero, to a relative 1e-12."""
    low, high = 0.0, max(1.0, 2.0 * near)
    while rising(high) < 0:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2


def _upper(shape: float, x: float) -> float:
    scale = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1.0 / shape
        step = shape
        while abs(term) > abs(total) * 1e-16:
            step += 1
            term *= x / step
            total += term
        return max(0.0, 1.0 - total * scale)
    tiny = 1e-300
    b = x + 1.0 - shape
    c, d = 1.0 / tiny, 1.0 / b
    fraction = d
    for step in range(1, 1_000_000):
        factor = -step * (step - shape)
        b += 2.0
        d = factor * d + b
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = b + factor / c
        c = c if abs(c) > tiny else tiny
        delta = c * d
        fraction *= delta
        if abs(delta - 1.0) < 1e-15:
            break
    return fraction * scale
