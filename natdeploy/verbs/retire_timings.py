"""``devices retire``: timings of a device that shall not be used any more, since it was busy or hot at first."""

from __future__ import annotations

from dataclasses import dataclass

from natdeploy.verbs.result import Result


@dataclass(frozen=True)
class RetireResult(Result):
    """A device that is as if it had never been timed.

    Attributes:
        device: its hardware profile.
        retired: fingerprint of the timings and models that are not used any more; they stay where they are.
        fingerprint: the one of those that come.
        timings: how many timings were retired.
    """

    device: str
    retired: str
    fingerprint: str
    timings: int


def retire_timings(device: str = "host") -> RetireResult:
    """Leave all timings of a device out from now on, and with them its baselines and what was learned from them.

    Nothing is deleted. Runs that searched with the old timings are not built any more: their budgets are in terms of
    them.

    Args:
        device: name of a hardware profile, or a path to one.

    Raises BadInput for an unknown device and for one of which nothing is stored.
    """
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.devices.retired import retire
    from natdeploy.ground.errors import BadInput
    from natdeploy.measure import MeasurementStore

    profile = load_profile(device)
    fingerprint = device_fingerprint(profile)
    timings = len(MeasurementStore().query(device_fingerprint=fingerprint))
    if not timings:
        raise BadInput(f"device {profile.name!r}: no timings of it are stored; there is nothing to retire")
    return RetireResult(profile.name, fingerprint, retire(fingerprint), timings)
