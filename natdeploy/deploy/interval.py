"""How well a timing knows its median: an interval from its visits, to compare two timings by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from natdeploy.measure import Measurement


def median_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Ends of the median's interval between two of the values, whatever their distribution.

    The number of values below the true median is binomial with 1/2, so the interval from the k-th smallest to the k-th
    largest holds it with probability 1 - 2 P(fewer than k are below) (Conover, Practical Nonparametric Statistics,
    section 3.2). The largest k is taken that reaches the confidence; too few values give all of their range.
    """
    ordered, count = sorted(values), len(values)
    if not ordered:
        raise ValueError("median_interval: no values")
    k = 1
    while 2 * (k + 1) <= count and _outside(count, k + 1) <= 1 - confidence:
        k += 1
    return ordered[k - 1], ordered[count - k]


def _outside(count: int, k: int) -> float:
    """Probability that the median lies outside the k-th smallest to the k-th largest of ``count`` values."""
    return 2 * sum(math.comb(count, below) for below in range(k)) / 2**count


def latency_interval(measurement: Measurement, confidence: float) -> tuple[float, float]:
    """Ends of the interval of a measurement's latency, milliseconds; ``latency_ms`` always lies inside.

    From the visits, each divided by the reference around it; a timing without a reference has series in their place.
    """
    values = _visits(measurement)
    lower, upper = median_interval(values, confidence)
    return min(lower, measurement.latency_ms), max(upper, measurement.latency_ms)


def _visits(measurement: Measurement) -> list[float]:
    """One value for each visit, in milliseconds with drift divided out; or the median of each series."""
    if not measurement.visits:
        repeats = int(measurement.protocol.get("repeats", 1))
        samples = measurement.samples_ms
        return [statistics.median(samples[start : start + repeats]) for start in range(0, len(samples), repeats)]
    from natdeploy.measure.correction import relative_values, visit_value

    quantile = float(measurement.protocol["visit_quantile"])
    values = [visit_value(visit.samples_ms, quantile) for visit in measurement.visits]
    around = [visit.reference_ms for visit in measurement.visits]
    return [float(value) for value in relative_values(values, around) * measurement.reference_ms]
