"""Networks that the latency model never saw, with what it says of them and what they measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from natdeploy.latency import LatencyModel
from natdeploy.spaces import Arch

if TYPE_CHECKING:
    from natdeploy.measure import Measurement


@dataclass(frozen=True)
class Judged:
    """One network's predicted latency with its interval, and its measured one, in milliseconds."""

    arch_id: str
    mean_ms: float
    lower_ms: float
    upper_ms: float
    measured_ms: float


def judge(model: LatencyModel, measurements: Sequence[Measurement]) -> tuple[Judged, ...]:
    """Predictions beside the trusted ``holdout`` timings of the model's own device, runtime, space and toolchain."""
    timings: dict[Arch, list[float]] = defaultdict(list)
    for taken in measurements:
        if taken.role == "holdout" and taken.trusted and taken.arch is not None and model.is_about(taken):
            timings[taken.arch].append(taken.latency_ms)
    archs = sorted(timings, key=lambda arch: arch.id)
    if not archs:
        return ()
    predicted = model.predict(archs)
    return tuple(
        Judged(arch.id, float(mean), float(lower), float(upper), median(timings[arch]))
        for arch, mean, lower, upper in zip(archs, predicted.mean_ms, predicted.lower_ms, predicted.upper_ms)
    )
