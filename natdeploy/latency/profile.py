"""Profile a device: choose networks, time them, train a latency model, judge it on networks it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.devices.units import Access
from natdeploy.latency.fit import fit_latency_model
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.plan import plan_profile
from natdeploy.measure import Measurement, MeasurementStore, TimingProtocol, protocol_for, time_archs
from natdeploy.spaces import Space, get_space

Progress = Callable[[str, float], None]


def profile_device(
    profile: HardwareProfile,
    space: Space | str,
    *,
    runtimes: Sequence[str] = (),
    networks: int = 120,
    holdout: int = 40,
    coverage: float = 0.9,
    seed: int = 0,
    store: MeasurementStore | None = None,
    protocol: TimingProtocol | None = None,
    num_classes: int | None = None,
    progress: Progress | None = None,
    access: Access | None = None,
) -> dict[str, LatencyModel]:
    """Time networks on a device and train one latency model for each runtime.

    Every timing is stored as it is taken and none that is stored is taken again, so a profile that was stopped at any
    instant goes on where it was. Timings of earlier builds on the same device are trained on, too.

    Args:
        profile: the device.
        space: what to time networks of.
        runtimes: which of the device's runtimes; empty means all.
        networks, holdout: how many networks to train on, and how many others to judge by.
        coverage: share of the models' intervals that shall hold.
        seed: of the choice of networks and of training.
        store: where timings are kept; the user's own store if not given.
        protocol: how to time; the default for the device if not given.
        num_classes: classes of the timed networks; the space's own if not given.
        progress: called with the stage and the fraction done.
        access: how to get at a device that is not this machine, and how many units of it to use.

    Returns the models by runtime; each is also written where :func:`natdeploy.latency.find_latency_model` finds it.
    Raises BadInput for a runtime the device lacks or too few networks, before anything is timed; DeviceNotReachable,
    TimingNotPossible.
    """
    space = get_space(space) if isinstance(space, str) else space
    plan = plan_profile(
        profile, space, runtimes=runtimes, networks=networks, holdout=holdout, coverage=coverage, seed=seed
    )
    store = MeasurementStore() if store is None else store
    if protocol is None:
        protocol = protocol_for(profile)
    done = 0
    models: dict[str, LatencyModel] = {}
    for runtime, path in plan.paths.items():
        measured: list[Measurement] = []
        for part in plan.parts:
            measured += time_archs(
                part.archs,
                space=space,
                profile=profile,
                runtime=runtime,
                protocol=protocol,
                store=store,
                role=part.roles,
                num_classes=num_classes,
                progress=_part_of(progress, done / plan.timings, len(part.archs) / plan.timings),
                access=access or Access(),
            )
            done += len(part.archs)
        built = store.query(
            device_fingerprint=device_fingerprint(profile), runtime=runtime, space=space.name, role="build"
        )
        measured += [timing for timing in built if timing.protocol["threads"] == protocol.threads]
        models[runtime] = fit_latency_model(measured, space, coverage=coverage, seed=seed)
        models[runtime].save(path)
    if progress is not None:
        progress("profiled", 1.0)
    return models


def _part_of(progress: Progress | None, start: float, share: float) -> Progress | None:
    """Progress of one part of the work, seen as progress of the whole."""
    if progress is None:
        return None
    return lambda stage, fraction: progress(stage, start + share * fraction)
