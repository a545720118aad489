"""``profile``: time subnets of a space on a device, and learn to predict the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile, Runnable, Via
    from natdeploy.devices.units import Access
    from natdeploy.latency import LatencyModel, Quality
    from natdeploy.latency.profiling.forecast import RuntimeForecast
    from natdeploy.measure import TimingProtocol
    from natdeploy.measure.energy import EnergySummary
    from natdeploy.measure.spread import UnitShare
    from natdeploy.runs import ProfileSettings


@dataclass(frozen=True)
class KernelProfile:
    """A runtime's kernels, timed by themselves.

    Attributes:
        timed: how many kernels, by kind of layer.
        joined: kinds of layers that the runtime computes together, with the share of the cheaper one that this saves.
        scale, constant_ms: what a whole network takes: the sum of its kernels times this, and this.
        quality: of the sum, so corrected.
    """

    timed: Mapping[str, int]
    joined: Mapping[str, float]
    scale: float
    constant_ms: float
    quality: Quality


@dataclass(frozen=True)
class RuntimeProfile:
    """A runtime's latency model.

    Attributes:
        runtime: which one; runtimes are never mixed in one model.
        source: where its knowledge comes from.
        quality: its figures, on which networks they were taken, repeatability of the timings and baselines.
        energy: of the timed networks' runs; None where no timing is stored.
        others: what other devices it learned from; empty for one of the device's own timings alone.
        kernels: where kernels were timed.
    """

    runtime: str
    source: str
    quality: Quality
    energy: EnergySummary | None = None
    others: str = ""
    kernels: KernelProfile | None = None


@dataclass(frozen=True)
class ProfileResult(Result):
    """A profiled device.

    Attributes:
        device, fingerprint, space: what was timed where.
        runtimes: one model each.
        units: what each unit has measured, of a device that is not this machine.
    """

    device: str
    fingerprint: str
    space: str
    runtimes: tuple[RuntimeProfile, ...]
    units: tuple[UnitShare, ...] = ()


@dataclass(frozen=True)
class PlanResult(Result):
    """What profiling would do.

    Attributes:
        device, via: what would be timed, and how it would be reached.
        units: named ones; empty for whichever are there.
        devices: how many share the work.
        space: search space.
        protocol: how each network would be timed.
        runtimes: what would be timed with each, and how long that would take.
    """

    device: str
    via: str
    units: tuple[str, ...]
    devices: int
    space: str
    protocol: TimingProtocol
    runtimes: tuple[RuntimeForecast, ...]


def profile(
    device: str = "host",
    *,
    space: str = "mbv3-micro",
    runtimes: Sequence[str] | None = None,
    networks: int = 120,
    holdout: int = 40,
    target_within10: float | None = None,
    minutes: float | None = None,
    level: str = "network",
    seed: int = 0,
    via: Via | None = None,
    units: Sequence[str] = (),
    devices_matching: int = 1,
    progress: Progress | None = None,
    test_only_clock: Callable[[Runnable, int], list[float]] | None = None,
) -> ProfileResult:
    """Time random subnets with each runtime and train a latency model from them; every sample is stored at once.

    Networks already stored for this device, toolchain and protocol are not timed again.

    Args:
        device: name of a hardware profile, or a path to one.
        space: search space.
        runtimes: runtimes to profile; None takes all that the device has.
        networks: subnets to train on, at most, where there is a target or a time limit. Fewer than 30 suffice where
            other devices are known, by timings, imported measurements or predictors: the model is then ``transferred``.
        holdout: further subnets to judge the model by.
        target_within10: begin with few subnets and add those the model is least sure of, until it predicts this share
            of the holdout within +-10 %.
        minutes: likewise, and stop after so many for each runtime, with what there is by then.
        level: ``network``; ``kernel`` times single kernels and pairs of them as the runtime joins them, and at most 24
            whole networks; ``both`` times all and goes by the model that is nearer to networks left out.
        seed: of the subnets drawn.
        via: way to a device that is not this machine; the profile's preferred one by default.
        units: which ones of several, by serial (adb) or host (ssh); they share the work.
        devices_matching: without ``units``: how many attached ones of the device's kind share the work.
        progress: told what is going on.
        test_only_clock: for tests on emulators, see :class:`natdeploy.devices.units.Access`.

    Raises BadInput for an unknown device, space, runtime or count, DeviceNotReachable when the device is not there or
    lost (TimingNotPossible for an emulator); what was timed until then is stored.
    """
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.devices.units import Access

    settings = _settings(space, networks, holdout, runtimes, target_within10, minutes, level)
    hardware = load_profile(device)
    _refuse_unknown(settings, hardware)
    access = Access(via, tuple(units), devices_matching, test_only_clock)
    access.check(hardware)
    models = profile_with(hardware, settings, space=space, seed=seed, progress=progress, access=access)
    found = tuple(
        RuntimeProfile(
            name,
            model.source,
            model.quality,
            _energy(hardware, space, name),
            model.origin.get("source", ""),
            _kernels(hardware, space, name) if settings.level != "network" else None,
        )
        for name, model in models.items()
    )
    return ProfileResult(hardware.name, device_fingerprint(hardware), space, found, _shares(hardware, space))


def profile_with(
    hardware: HardwareProfile,
    settings: ProfileSettings,
    *,
    space: str,
    seed: int,
    progress: Progress | None,
    access: Access | None = None,
) -> dict[str, LatencyModel]:
    """Profile a device by settings that were checked; runtime name to latency model."""
    from natdeploy.latency import profile_device
    from natdeploy.latency.profiling.goal import Goal

    return profile_device(
        hardware,
        space,
        runtimes=settings.runtimes,
        networks=settings.networks,
        holdout=settings.holdout,
        goal=Goal(settings.target_within10, settings.minutes),
        level=settings.level,
        seed=seed,
        progress=progress,
        access=access,
    )


def plan_profile(
    device: str = "host",
    *,
    space: str = "mbv3-micro",
    runtimes: Sequence[str] | None = None,
    networks: int = 120,
    holdout: int = 40,
    target_within10: float | None = None,
    minutes: float | None = None,
    level: str = "network",
    seed: int = 0,
    via: Via | None = None,
    units: Sequence[str] = (),
    devices_matching: int = 1,
) -> PlanResult:
    """What :func:`profile` would do with these arguments and how long it would take. Touches neither device nor store.

    With a target or a time limit that is the most it would do. Kernels are not part of it: which ones are timed depends
    on those that were.

    Raises BadInput like :func:`profile`.
    """
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.devices.units import Access
    from natdeploy.ground.files import cache_root
    from natdeploy.latency.profiling.forecast import forecast
    from natdeploy.latency.profiling.profile import WHOLE, plan_with_others
    from natdeploy.measure import MeasurementStore, protocol_for
    from natdeploy.spaces import get_space

    settings = _settings(space, networks, holdout, runtimes, target_within10, minutes, level)
    hardware = load_profile(device, derive=False)
    _refuse_unknown(settings, hardware)
    access = Access(via, tuple(units), devices_matching)
    access.check(hardware)
    way = "local" if hardware.is_this_machine else via or hardware.reach.via[0]
    path, protocol = cache_root() / "measurements.sqlite", protocol_for(hardware)
    store = MeasurementStore(path) if path.is_file() else None
    if store is not None and hardware.derived and store.query(device_fingerprint=device_fingerprint(hardware)):
        hardware = load_profile(device)  # as it was filled in when it was timed
    plan = plan_with_others(
        hardware,
        get_space(space),
        store,
        runtimes=settings.runtimes or hardware.runtimes,
        networks=settings.networks if settings.level != "kernel" else min(settings.networks, WHOLE),
        holdout=settings.holdout,
        coverage=0.9,
        seed=seed,
        transferable=settings.level == "kernel",
    )
    found = forecast(plan, hardware, get_space(space), protocol=protocol, store=store, access=access)
    if store is not None:
        store.close()
    return PlanResult(hardware.name, way, access.units, max(access.matching, len(access.units)), space, protocol, found)


def _settings(
    space: str,
    networks: int,
    holdout: int,
    runtimes: Sequence[str] | None,
    target_within10: float | None,
    minutes: float | None,
    level: str,
) -> ProfileSettings:
    from natdeploy.ground.validation import validate
    from natdeploy.runs import ProfileSettings
    from natdeploy.spaces import get_space

    get_space(space)
    given = {
        "networks": networks,
        "holdout": holdout,
        "runtimes": tuple(runtimes or ()),
        "target_within10": target_within10,
        "minutes": minutes,
        "level": level,
    }
    return validate(ProfileSettings, given, "profile")


def _refuse_unknown(settings: ProfileSettings, hardware: HardwareProfile) -> None:
    from natdeploy.ground.errors import BadInput

    if unknown := [name for name in settings.runtimes if name not in hardware.runtimes]:
        if unknown[0] == "onnxruntime" and not hardware.is_this_machine:
            from natdeploy.devices.perf_test import perf_test_file

            perf_test_file(hardware)  # raises with advice where its program is not named
        known = ", ".join(hardware.runtimes)
        raise BadInput(f"field 'runtimes': device {hardware.name!r} has no runtime {unknown[0]!r}; it has {known}")


def _kernels(hardware: HardwareProfile, space: str, runtime: str) -> KernelProfile | None:
    """What the stored model of kernels knows."""
    from natdeploy.latency import find_latency_model
    from natdeploy.latency.kernels.predictor import KernelPredictor

    model = find_latency_model(hardware, space, runtime, kernels=True)
    if model is None or not isinstance(model.predictor, KernelPredictor):
        return None
    sums, whole = model.predictor.sums, model.predictor.whole
    timed = {kind: len(found.log_ms) for kind, found in sums.kinds.items()}
    joined = {f"{first}+{second}": share for (first, second), share in sums.saved.items()}
    return KernelProfile(timed, joined, whole.scale, whole.constant_ms, model.quality)


def _energy(hardware: HardwareProfile, space: str, runtime: str) -> EnergySummary | None:
    """What is stored of the energy of a device's networks."""
    from natdeploy.devices import device_fingerprint
    from natdeploy.measure import MeasurementStore
    from natdeploy.measure.energy import stored_energy, summarise

    with MeasurementStore() as store:
        timings = store.query(device_fingerprint=device_fingerprint(hardware), runtime=runtime, space=space)
    return summarise([stored_energy(one, hardware) for one in timings if one.role != "build"])


def _shares(hardware: HardwareProfile, space: str) -> tuple[UnitShare, ...]:
    """What each unit has measured so far, of a device that is not this machine."""
    from natdeploy.devices import device_fingerprint
    from natdeploy.measure import MeasurementStore
    from natdeploy.measure.spread import unit_shares

    if hardware.is_this_machine:
        return ()
    with MeasurementStore() as store:
        return unit_shares(store.query(device_fingerprint=device_fingerprint(hardware), space=space))
