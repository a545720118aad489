"""What profiling a device would do and how long it would take, without touching the device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.devices.units import Access
from natdeploy.ground.errors import NatdeployError
from natdeploy.latency.library import find_latency_model
from natdeploy.latency.profiling.plan import ProfilePlan
from natdeploy.measure import Measurement, MeasurementStore, TimingProtocol
from natdeploy.measure.builds import runtime_toolchain
from natdeploy.spaces import Arch, Space, costs

#: Seconds to link a network whose kernels are there, by runtime; measured on a virtual machine's single core.
_BUILD_S = {"onnxruntime": 0.1, "tvm": 1.0}
#: Seconds that a process takes to start on a device, and what a cable or a network carries in a second.
_START_S, _BYTES_PER_S = 0.05, 10e6
#: Share of a core's peak rate that a network reaches, where no predictor knows better, and a core's peak rate in
#: billions of operations a second where the profile knows none.
_OF_PEAK, _UNKNOWN_GOPS = 0.3, 200.0


@dataclass(frozen=True)
class RuntimeForecast:
    """What one runtime takes.

    Attributes:
        runtime: which one.
        networks: timings by role: train, holdout, repeat.
        stored: how many of them are there already and will not be taken again.
        least_s, most_s: seconds for the others: with as few visits as the protocol asks for, with as many as it allows.
            Kernels that were never compiled for the device come on top.
    """

    runtime: str
    networks: Mapping[str, int]
    stored: int
    least_s: float
    most_s: float


def forecast(
    plan: ProfilePlan,
    profile: HardwareProfile,
    space: Space,
    *,
    protocol: TimingProtocol,
    store: MeasurementStore | None,
    access: Access,
    num_classes: int | None = None,
) -> tuple[RuntimeForecast, ...]:
    """What :func:`natdeploy.latency.profiling.profile.profile_device` would do.

    Args:
        plan: what is to be timed.
        profile, space, protocol, num_classes: as it would be given them; a derived profile that was never timed need
            not be filled in.
        store: what was timed already; None where there is no store yet.
        access: how many units would share the work.

    Returns one forecast a runtime.
    """
    found = []
    units = 1 if profile.is_this_machine else max(access.matching, len(access.units))
    for runtime in plan.paths:
        known = set() if store is None else _stored(store, profile, space, runtime, protocol, num_classes)
        missing: list[Arch] = []
        networks = dict.fromkeys(("train", "holdout", "repeat"), 0)
        for part in plan.parts:
            for arch in part.archs:
                role = part.roles[arch]
                networks[role] += 1
                if (arch, role) not in known:
                    missing.append(arch)
        stored = sum(networks.values()) - len(missing)
        runs_ms = _latencies_ms(profile, space, runtime, missing)
        seconds = [
            _seconds(profile, space, runtime, protocol, missing, runs_ms, visits) for visits in _visits(protocol)
        ]
        found.append(RuntimeForecast(runtime, networks, stored, seconds[0] / units, seconds[1] / units))
    return tuple(found)


def _visits(protocol: TimingProtocol) -> tuple[int, int]:
    return protocol.min_visits, protocol.max_visits


def _stored(
    store: MeasurementStore,
    profile: HardwareProfile,
    space: Space,
    runtime: str,
    protocol: TimingProtocol,
    num_classes: int | None,
) -> set[tuple[Arch | None, str]]:
    timings = store.query(device_fingerprint=device_fingerprint(profile), runtime=runtime, space=space.name)
    versions = runtime_toolchain(runtime, profile) if timings else {}

    def counts(timing: Measurement) -> bool:
        same_tools = all(timing.toolchain.get(tool) == version for tool, version in versions.items())
        return same_tools and timing.protocol == protocol.to_json() and timing.num_classes == num_classes

    return {(timing.arch, timing.role) for timing in timings if timing.occurrence == 0 and counts(timing)}


def _latencies_ms(profile: HardwareProfile, space: Space, runtime: str, archs: Sequence[Arch]) -> np.ndarray:
    """Roughly what networks take: by the device's predictor, by its peak rate, or by that of any core."""
    if not archs:
        return np.zeros(0)
    try:
        model = find_latency_model(profile, space, runtime)
    except NatdeployError:
        model = None
    if model is not None:
        return model.predict(archs).mean_ms
    peak_gops = profile.timed_cluster.peak_gops() if profile.clusters else None
    macs = np.array([costs(space.layers(arch)).macs for arch in archs], np.float64)
    return np.asarray(2 * macs / (_OF_PEAK * (peak_gops or _UNKNOWN_GOPS) * 1e6))


def _seconds(
    profile: HardwareProfile,
    space: Space,
    runtime: str,
    protocol: TimingProtocol,
    archs: Sequence[Arch],
    runs_ms: np.ndarray,
    visits: int,
) -> float:
    if not archs:
        return 0.0
    reference_ms = float(np.median(runs_ms))
    start_s = 0.0 if profile.is_this_machine else _START_S

    def visit_s(run_ms: float, visit_ms: float) -> float:
        timed_ms = max(visit_ms, protocol.min_repeats * run_ms)
        return start_s + (max(protocol.warmup_ms, 2 * run_ms) + timed_ms) / 1e3

    references = visits / protocol.reference_every * visit_s(reference_ms, protocol.reference_visit_ms)
    timing_s = sum(visits * visit_s(run_ms, protocol.visit_ms) + references for run_ms in map(float, runs_ms))
    spread_s = math.ceil(len(archs) / 40) * protocol.spread_ms / 1e3
    total = max(timing_s, spread_s) + _BUILD_S.get(runtime, 1.0) * len(archs)
    if not profile.is_this_machine:
        total += sum(4 * costs(space.layers(arch)).params for arch in archs) / _BYTES_PER_S
    return total
