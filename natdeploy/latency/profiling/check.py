"""Whether a stored latency model still holds: a few of its networks timed again, compared with what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput
from natdeploy.latency.library import find_latency_model
from natdeploy.latency.measured.comparable import TRAINING_ROLES
from natdeploy.latency.model import LatencyModel
from natdeploy.measure import Measurement, MeasurementStore, TimingProtocol, runtime_toolchain, time_archs
from natdeploy.measure.pace import is_slow_baseline
from natdeploy.spaces import Arch, Space, get_space

Progress = Callable[[str, float], None]
#: Fewest networks timed again, and how improbable a count of intervals that hold may be before the model does not.
MIN_NETWORKS, IMPROBABLE = 3, 0.05


@dataclass(frozen=True)
class LatencyCheck:
    """How networks timed again compare.

    Attributes:
        runtime: of the model.
        networks: how many were timed again.
        inside: how many of them lie in their interval.
        coverage: share of intervals that the model promises to hold.
        to_prediction: median of the new timings as shares of the predictions.
        to_stored: the same of the stored timings.
        pace: what the reference network takes now, as a share of its baseline; this is divided out of the timings.
        slow_baseline: whether that says that the device was busy, hot or throttled when its baseline was taken.
        changed: tools whose version is not that of the model, as ``name old -> new``.
        holds: whether so few intervals, or fewer, would hold at least one time in twenty if the model did.
    """

    runtime: str
    networks: int
    inside: int
    coverage: float
    to_prediction: float
    to_stored: float
    pace: float
    slow_baseline: bool
    changed: tuple[str, ...]
    holds: bool


def check_latency_model(
    profile: HardwareProfile,
    space: Space | str,
    runtime: str,
    *,
    networks: int = 8,
    store: MeasurementStore | None = None,
    protocol: TimingProtocol | None = None,
    access: Access | None = None,
    progress: Progress | None = None,
) -> LatencyCheck:
    """Time some of a model's networks again, spread over their latencies, and compare.

    The new timings are stored, as repetitions of the old ones, and train nothing.

    Raises BadInput for fewer than three networks, and where the device was not profiled; DeviceNotReachable.
    """
    from scipy.stats import binom

    space = get_space(space) if isinstance(space, str) else space
    if networks < MIN_NETWORKS:
        raise BadInput(f"check: {networks} networks, at least {MIN_NETWORKS} are needed")
    model = find_latency_model(profile, space, runtime)
    if model is None:
        raise BadInput(
            f"device {profile.name!r} was not profiled for {space.name} with {runtime}: there is nothing to check; run "
            f"natdeploy profile --device {profile.name} --space {space.name}"
        )
    store = MeasurementStore() if store is None else store
    stored = _stored(model, store)
    order = sorted(stored, key=lambda arch: (stored[arch].latency_ms, arch.id))
    places = np.unique(np.linspace(0, len(order) - 1, min(networks, len(order))).round().astype(int))
    chosen = [order[place] for place in places]
    if len(chosen) < MIN_NETWORKS:
        raise BadInput(f"check: {len(chosen)} stored networks of {space.name} with {runtime}; profile again")
    again = time_archs(
        chosen,
        space=space,
        profile=profile,
        runtime=runtime,
        protocol=protocol,
        store=store,
        role="repeat",
        num_classes=stored[chosen[0]].num_classes,
        occurrence=_next_occurrence(model, store),
        progress=progress,
        access=access or Access(),
    )
    measured = np.array([item.latency_ms for item in again])
    predicted = model.predict(chosen, num_classes=stored[chosen[0]].num_classes)
    inside = int(((predicted.lower_ms <= measured) & (measured <= predicted.upper_ms)).sum())
    before = np.array([stored[arch].latency_ms for arch in chosen])
    today = runtime_toolchain(runtime, profile)
    changed = tuple(
        f"{tool} {version} -> {today[tool]}"
        for tool, version in sorted(model.toolchain.items())
        if today.get(tool, version) != version
    )
    pace = float(np.median([1 + item.drift for item in again]))
    # Units of one device differ, and which of them the baseline is of is not known.
    one_unit = len({item.conditions.get("unit") for item in (*again, *stored.values())}) == 1
    return LatencyCheck(
        runtime=runtime,
        networks=len(chosen),
        inside=inside,
        coverage=model.coverage,
        to_prediction=float(np.median(measured / predicted.mean_ms)),
        to_stored=float(np.median(measured / before)),
        pace=pace,
        slow_baseline=one_unit and is_slow_baseline(pace),
        changed=changed,
        holds=bool(binom.cdf(inside, len(chosen), model.coverage) >= IMPROBABLE),
    )


def _stored(model: LatencyModel, store: MeasurementStore) -> dict[Arch, Measurement]:
    """The model's own timings, the newest of each architecture, of one number of classes."""
    place = {"device_fingerprint": model.device_fingerprint, "runtime": model.runtime, "space": model.space}
    found: dict[Arch, Measurement] = {}
    for role in (*TRAINING_ROLES, "holdout"):
        for item in store.query(**place, role=role):
            if item.arch is not None and item.trusted and model.is_about(item):
                found[item.arch] = item
    classes = [item.num_classes for item in found.values()]
    usual = max(set(classes), key=classes.count) if classes else None
    return {arch: item for arch, item in found.items() if item.num_classes == usual}


def _next_occurrence(model: LatencyModel, store: MeasurementStore) -> int:
    place = {"device_fingerprint": model.device_fingerprint, "runtime": model.runtime, "space": model.space}
    return 1 + max((item.occurrence for item in store.query(**place, role="repeat")), default=0)
