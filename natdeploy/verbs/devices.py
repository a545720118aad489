"""``devices``: the hardware profiles, and what is known of a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.latency import Quality


@dataclass(frozen=True)
class PredictorInfo:
    """A latency model of a device.

    Attributes:
        space, runtime: what it predicts.
        source: where its knowledge comes from, for instance ``measured``.
        quality: its figures, and on which networks they were taken.
    """

    space: str
    runtime: str
    source: str
    quality: Quality


@dataclass(frozen=True)
class DeviceInfo:
    """A hardware profile with what is known of its device.

    Attributes:
        name, title, soc: what it is called.
        reach: ways to it, the preferred one first.
        here: whether it is this machine.
        own: whether the profile is a file of the user's own.
        runtimes: runtimes it can be timed with.
        profile: the whole hardware profile; only when one device was asked for.
        fingerprint: identifies this very device's stored timings; only when one device was asked for.
        measurements: stored timings by role; only when one device was asked for.
        predictors: its latency models, those from published measurements last; only when one device was asked for.
        problems: what is wrong with stored latency models that cannot be read.
    """

    name: str
    title: str
    soc: str | None
    reach: tuple[str, ...]
    here: bool
    runtimes: tuple[str, ...]
    own: bool = False
    profile: Mapping[str, Any] | None = None
    fingerprint: str | None = None
    measurements: Mapping[str, int] | None = None
    predictors: tuple[PredictorInfo, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class DevicesResult(Result):
    """The hardware profiles, sorted by name, or the one asked for."""

    devices: tuple[DeviceInfo, ...]


def devices(name: str | None = None) -> DevicesResult:
    """List the hardware profiles, or show one with what is known of it.

    Raises BadInput for an unknown name or a malformed profile.
    """
    from natdeploy.devices import list_profiles, load_profile

    if name is None:
        return DevicesResult(tuple(_summary(profile) for profile in list_profiles()))
    return DevicesResult((_in_full(load_profile(name)),))


def _summary(profile: Any) -> DeviceInfo:
    from natdeploy.devices import profile_paths, user_profiles_dir

    path = profile_paths().get(profile.name)
    return DeviceInfo(
        profile.name,
        profile.title,
        profile.soc,
        profile.reach.via,
        profile.is_this_machine,
        profile.runtimes,
        path is not None and path.parent == user_profiles_dir(),
    )


def _in_full(profile: Any) -> DeviceInfo:
    from natdeploy.devices import device_fingerprint
    from natdeploy.ground.errors import BadInput
    from natdeploy.latency import find_latency_model, published_latency_model
    from natdeploy.measure import MeasurementStore
    from natdeploy.spaces import SPACES

    fingerprint = device_fingerprint(profile)
    counts: dict[str, int] = {}
    for measurement in MeasurementStore().query(device_fingerprint=fingerprint):
        counts[measurement.role] = counts.get(measurement.role, 0) + 1
    predictors: list[PredictorInfo] = []
    problems: list[str] = []
    for space in SPACES.names():
        for runtime in profile.runtimes:
            try:
                model = find_latency_model(profile, space, runtime)
            except BadInput as error:
                problems.append(str(error))
                continue
            if model is not None:
                predictors.append(PredictorInfo(space, runtime, model.source, model.quality))
    for space in SPACES.names():
        if (shipped := published_latency_model(profile, space)) is not None:
            predictors.append(PredictorInfo(space, shipped.runtime, shipped.source, shipped.quality))
    return replace(
        _summary(profile),
        profile=profile.model_dump(mode="json", exclude_none=True),
        fingerprint=fingerprint,
        measurements=counts,
        predictors=tuple(predictors),
        problems=tuple(problems),
    )
