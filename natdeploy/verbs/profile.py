"""``profile``: time subnets of a space on a device, and learn to predict the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.devices import HardwareProfile
    from natdeploy.latency import LatencyModel, Quality


@dataclass(frozen=True)
class RuntimeProfile:
    """A runtime's latency model.

    Attributes:
        runtime: which one; runtimes are never mixed in one model.
        source: where its knowledge comes from.
        quality: its figures, on which networks they were taken, repeatability of the timings and baselines.
    """

    runtime: str
    source: str
    quality: Quality


@dataclass(frozen=True)
class ProfileResult(Result):
    """A profiled device.

    Attributes:
        device, fingerprint, space: what was timed where.
        runtimes: one model each.
    """

    device: str
    fingerprint: str
    space: str
    runtimes: tuple[RuntimeProfile, ...]


def profile(
    device: str = "host",
    *,
    space: str = "mbv3-micro",
    runtimes: Sequence[str] | None = None,
    networks: int = 120,
    holdout: int = 40,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProfileResult:
    """Time random subnets with each runtime and train a latency model from them; every sample is stored at once.

    Networks already stored for this device, toolchain and protocol are not timed again.

    Args:
        device: name of a hardware profile, or a path to one.
        space: search space.
        runtimes: runtimes to profile; None takes all that the device has.
        networks: subnets to train on.
        holdout: further subnets to judge the model by.
        seed: of the subnets drawn.
        progress: told what is going on.

    Raises BadInput for an unknown device, space, runtime or count, DeviceNotReachable when the device is not here.
    """
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.ground.errors import BadInput
    from natdeploy.ground.validation import validate
    from natdeploy.runs import ProfileSettings
    from natdeploy.spaces import get_space

    get_space(space)
    settings = validate(
        ProfileSettings, {"networks": networks, "holdout": holdout, "runtimes": tuple(runtimes or ())}, "profile"
    )
    hardware = load_profile(device)
    if unknown := [name for name in settings.runtimes if name not in hardware.runtimes]:
        known = ", ".join(hardware.runtimes)
        raise BadInput(f"field 'runtimes': device {hardware.name!r} has no runtime {unknown[0]!r}; it has {known}")
    models = profile_with(
        hardware,
        space=space,
        runtimes=settings.runtimes or hardware.runtimes,
        networks=settings.networks,
        holdout=settings.holdout,
        seed=seed,
        progress=progress,
    )
    found = tuple(RuntimeProfile(name, model.source, model.quality) for name, model in models.items())
    return ProfileResult(hardware.name, device_fingerprint(hardware), space, found)


def profile_with(
    hardware: HardwareProfile,
    *,
    space: str,
    runtimes: Sequence[str],
    networks: int,
    holdout: int,
    seed: int,
    progress: Progress | None,
) -> dict[str, LatencyModel]:
    """Profile a device whose settings were checked; runtime name to latency model."""
    from natdeploy.latency import profile_device
    from natdeploy.measure import MeasurementStore
    from natdeploy.spaces import get_space

    return profile_device(
        hardware,
        get_space(space),
        runtimes=tuple(runtimes),
        networks=networks,
        holdout=holdout,
        seed=seed,
        store=MeasurementStore(),
        progress=progress,
    )
