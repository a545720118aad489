"""``bench``: a bundle's model, run and timed on its device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.devices import Via
    from natdeploy.measure.energy import Energy


@dataclass(frozen=True)
class BenchResult(Result):
    """A measured latency.

    Attributes:
        bundle: its folder, which now holds the timing.
        device, via, unit: the hardware profile, and the very device that was timed.
        latency_ms: median over series of runs.
        mad_ms: median absolute deviation of the series' medians.
        trusted: whether the device was steady enough, and the clock its own.
        predicted_ms, predicted_lower_ms, predicted_upper_ms: what the bundle was predicted to take; None if nothing.
        inside: whether the latency lies in the predicted interval; None where nothing was predicted.
        budget_ms: the search's, if that was for this device; a build without the device holds nothing to it.
        within_budget: whether the latency is at most the budget; None where there is none.
        peak_rss_kib: most memory that the executable held on the device; None where that does not say.
        energy: of one run, measured, modelled, or why neither.
    """

    bundle: Path
    device: str
    via: str
    unit: str
    latency_ms: float
    mad_ms: float
    trusted: bool
    predicted_ms: float | None
    predicted_lower_ms: float | None
    predicted_upper_ms: float | None
    inside: bool | None
    budget_ms: float | None
    within_budget: bool | None
    peak_rss_kib: int | None
    energy: Energy


def bench(
    bundle: str | Path,
    *,
    device: str,
    via: Via | None = None,
    unit: str | None = None,
    test_only_clock: Callable[[int], list[float]] | None = None,
) -> BenchResult:
    """Run a bundle's executable on its device, compare its outputs with the recorded ones, and time it.

    Args:
        bundle: a bundle that was built for the device.
        device: hardware profile.
        via: way to the device; the profile's preferred one by default.
        unit: which one of several, for instance a serial.
        test_only_clock: for tests on emulators, see :func:`natdeploy.devices.connect`.

    Raises BadInput, DeviceNotReachable (TimingNotPossible for an emulator), VerificationFailed.
    """
    from functools import partial

    from natdeploy.deploy.bench import bench as measure
    from natdeploy.devices import connect, load_profile

    reach = partial(connect, via=via, unit=unit, test_only_clock=test_only_clock)
    found = measure(bundle, load_profile(device), reach)
    timing, predicted, budget_ms = found.timing, found.manifest.latency.predicted, found.manifest.latency.budget_ms
    return BenchResult(
        bundle=found.path,
        device=found.manifest.device.name,
        via=found.device.via,
        unit=found.device.unit,
        latency_ms=timing.latency_ms,
        mad_ms=timing.mad_ms,
        trusted=timing.trusted,
        predicted_ms=predicted.mean_ms if predicted else None,
        predicted_lower_ms=predicted.lower_ms if predicted else None,
        predicted_upper_ms=predicted.upper_ms if predicted else None,
        inside=found.inside,
        budget_ms=budget_ms,
        within_budget=None if budget_ms is None else timing.latency_ms <= budget_ms,
        peak_rss_kib=found.peak_rss_kib,
        energy=found.energy,
    )
