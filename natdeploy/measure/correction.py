"""From the samples of visits to one latency: drift divided out, disturbances taken out. Pure functions.

Why these statistics: on a shared virtual machine with two processors, whose speed jumps by 1.45 when a neighbour works
on the same physical core, 40 networks were timed in separate blocks of time. Their raw medians disagreed by 28 %
(median over networks and pairs of blocks); divided by the reference's, by 2.8 %; with a low quantile within each visit,
the reference taken as the median of the visits around, and the median over the visits in which the reference ran
fastest, by 1.6 %. With eight busy programs on the two processors raw medians disagreed by 37 %, these by 1.9 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def visit_value(samples_ms: Sequence[float], quantile: float) -> float:
    """What stands for a visit: a low quantile, since a disturbance only ever makes a run longer."""
    return float(np.quantile(np.asarray(samples_ms, dtype=np.float64), quantile))


def local_reference(references_ms: Sequence[float], position: int, reach: int = 2) -> float:
    """The reference around a place in the sequence of its visits: median of ``reach`` before and ``reach`` after.

    Args:
        references_ms: one value for each visit to the reference, in order of time.
        position: how many of them came before the place.
        reach: how many to take on each side.
    """
    window = references_ms[max(0, position - reach) : position + reach]
    return float(np.median(window))


def relative_values(values_ms: Sequence[float], references_ms: Sequence[float]) -> np.ndarray:
    """Each visit in units of the reference around it, float64."""
    return np.asarray(values_ms, dtype=np.float64) / np.asarray(references_ms, dtype=np.float64)


def kept_visits(references_ms: Sequence[float], share: float, slowdown: float = 0.0) -> np.ndarray:
    """Indices of the visits that count: those in which the machine was at its fastest, by the reference.

    Args:
        references_ms: the reference around each visit.
        share: of the visits, at least three, in which the reference ran fastest: these count in any case.
        slowdown: the others count where the reference took at most so much longer than in the median of these, as a
            share. On a quiet machine all do, and nothing is thrown away.
    """
    references = np.asarray(references_ms)
    order = np.argsort(references, kind="stable")
    count = min(len(references), max(3, round(share * len(references))))
    limit_ms = np.median(references[order[:count]]) * (1 + slowdown)
    return np.sort(order[: max(count, int(np.count_nonzero(references <= limit_ms)))])


def relative_interval(values: np.ndarray) -> float:
    """Half width of the median's approximate 95 % interval, relative to it (notches of McGill et al. 1978).

    Infinite for fewer than three values.
    """
    if len(values) < 3:
        return float("inf")
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(1.57 * (high - low) / np.sqrt(len(values)) / middle)


def median_and_deviation(values: np.ndarray) -> tuple[float, float]:
    """Median, and median absolute deviation from it."""
    middle = float(np.median(values))
    return middle, float(np.median(np.abs(values - middle)))
