"""How fast a device runs of late, beside the baselines that its latencies are in terms of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from natdeploy.measure.measurement import Measurement

#: Of its baseline, what the reference network takes where that was taken on a device that was busy, hot or throttled:
#: steady devices repeat it within a few percent.
SLOW_BASELINE = 0.9
#: Latest timings of a place that are looked at, and the fewest that tell anything.
LATEST, FEWEST = 8, 3


@dataclass(frozen=True)
class Pace:
    """The reference network in the latest timings of a device, for one space and runtime.

    Attributes:
        space, runtime: whose reference network, run by what.
        timings: how many were looked at.
        ratio: median of what it took, as a share of its baseline.
    """

    space: str
    runtime: str
    timings: int
    ratio: float

    @property
    def slow_baseline(self) -> bool:
        """Whether the device was slower than it is when its baseline was taken."""
        return is_slow_baseline(self.ratio)


def is_slow_baseline(pace: float) -> bool:
    """Whether a reference that takes this share of its baseline says that the baseline was taken on a slow device."""
    return pace < SLOW_BASELINE


def latest_paces(timings: Iterable[Measurement]) -> tuple[Pace, ...]:
    """Paces of one device by space and runtime, in the terms that hold now.

    Of several units each has a speed of its own, which says nothing about the baseline: they are left out.
    """
    places: dict[tuple[str, str], list[Measurement]] = {}
    for item in timings:
        if item.visits:
            places.setdefault((item.space, item.runtime), []).append(item)
    found = []
    for (space, runtime), items in sorted(places.items()):
        items.sort(key=lambda item: item.taken_at)
        latest = [item for item in items if item.reference_ms == items[-1].reference_ms][-LATEST:]
        units = {item.conditions.get("unit") for item in items}
        if len(latest) >= FEWEST and len(units) == 1:
            found.append(Pace(space, runtime, len(latest), float(np.median([1 + item.drift for item in latest]))))
    return tuple(found)
