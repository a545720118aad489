"""How well timings repeat: the yardstick to hold a predictor's errors against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.measure.builds import Build
from natdeploy.measure.measurement import Measurement
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.store import MeasurementStore
from natdeploy.measure.timing import time_archs
from natdeploy.spaces import Space


@dataclass(frozen=True)
class Repeatability:
    """How much timings of the same networks differ when taken again.

    Attributes:
        networks: how many were timed twice.
        within5, within10: share of them whose second latency is within 5 % and 10 % of the first.
        median_difference: median of the relative differences.
        raw_median_difference: the same of the raw medians, not corrected by the reference.
        rank_correlation: Spearman's, of first and second latencies.
    """

    networks: int
    within5: float
    within10: float
    median_difference: float
    raw_median_difference: float
    rank_correlation: float


def repeatability(first: Sequence[Measurement], again: Sequence[Measurement]) -> Repeatability:
    """Compare timings with later timings of the same networks, paired by architecture.

    Raises BadInput when fewer than two networks are in both.
    """
    earlier = {(item.arch, item.runtime, item.device_fingerprint): item for item in first if item.arch is not None}
    pairs = [
        (earlier[place], item)
        for item in again
        if (place := (item.arch, item.runtime, item.device_fingerprint)) in earlier
    ]
    if len(pairs) < 2:
        raise BadInput(f"repeatability: {len(pairs)} networks were timed twice, at least 2 are needed")
    one = np.array([item.latency_ms for item, _ in pairs])
    two = np.array([item.latency_ms for _, item in pairs])
    raw = np.array([(item.raw_median_ms, other.raw_median_ms) for item, other in pairs])
    difference = np.abs(two / one - 1)
    return Repeatability(
        networks=len(pairs),
        within5=float(np.mean(difference <= 0.05)),
        within10=float(np.mean(difference <= 0.10)),
        median_difference=float(np.median(difference)),
        raw_median_difference=float(np.median(np.abs(raw[:, 1] / raw[:, 0] - 1))),
        rank_correlation=float(np.corrcoef(_ranks(one), _ranks(two))[0, 1]),
    )


def measure_repeatability(
    first: Sequence[Measurement],
    *,
    space: Space | str,
    profile: HardwareProfile,
    networks: int = 20,
    protocol: TimingProtocol | None = None,
    store: MeasurementStore | None = None,
    occurrence: int = 0,
    progress: Callable[[str, float], None] | None = None,
    build: Build | None = None,
) -> Repeatability:
    """Time some of the networks again (role ``repeat``), spread evenly over their latencies, and compare.

    Args:
        first: earlier timings, all of one runtime.
        networks: how many to time again.
        others: as for :func:`natdeploy.measure.time_archs`.
    """
    runtimes = {item.runtime for item in first}
    if len(runtimes) != 1:
        raise BadInput(f"repeatability: timings of exactly one runtime are needed, not {sorted(runtimes)}")
    ordered = sorted((item for item in first if item.arch is not None), key=lambda item: item.latency_ms)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(networks, len(ordered))).round().astype(int))
    chosen = [ordered[place] for place in places]
    again = time_archs(
        [item.arch for item in chosen if item.arch is not None],
        space=space,
        profile=profile,
        runtime=runtimes.pop(),
        protocol=protocol,
        store=store,
        role="repeat",
        num_classes=chosen[0].num_classes if chosen else None,
        occurrence=occurrence,
        progress=progress,
        build=build,
    )
    return repeatability(chosen, again)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]
