"""Which unit of a device measured what, and how far the units differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from natdeploy.measure.measurement import Measurement


@dataclass(frozen=True)
class UnitShare:
    """One unit's part of the timings of a kind of device.

    Attributes:
        unit: serial or host.
        timings: how many are its own.
        untrusted: how many of those were taken while it drifted too far.
        reference_ratio: what the reference network took on it, as a multiple of the median of all units: the
            unit-to-unit spread, which is divided out of the latencies.
    """

    unit: str
    timings: int
    untrusted: int
    reference_ratio: float


def unit_shares(measurements: Iterable[Measurement]) -> tuple[UnitShare, ...]:
    """Shares of the units that timings name, by name."""
    units: dict[str, list[Measurement]] = {}
    for item in measurements:
        if (unit := item.conditions.get("unit")) and item.visits:
            units.setdefault(str(unit), []).append(item)
    # Of the reference's baseline, which all units share: 1 + drift is what the reference took meanwhile.
    pace = {unit: float(np.median([1 + item.drift for item in items])) for unit, items in units.items()}
    middle = float(np.median(list(pace.values()))) if pace else 1.0
    return tuple(
        UnitShare(unit, len(items), sum(not item.trusted for item in items), pace[unit] / middle)
        for unit, items in sorted(units.items())
    )
