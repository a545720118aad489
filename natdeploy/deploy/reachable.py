"""Whether a device that is not this machine is there to be measured on."""

from __future__ import annotations

from natdeploy.deploy.chooser import Progress
from natdeploy.devices import HardwareProfile
from natdeploy.devices.units import Access, open_units
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.latency import LatencyModel


def can_be_timed(profile: HardwareProfile, model: LatencyModel | None, access: Access | None, tell: Progress) -> bool:
    """Whether the budget loop can measure on a device: it is attached, and the run's predictor was measured on it.

    Args:
        profile: the device, not this machine.
        model: the latency model of the run's search, None if that was for another device.
        access: how to reach it, where the user says so; then it must be there.
        tell: told why nothing will be measured.

    Raises BadInput and DeviceNotReachable where the user names a device that the loop cannot measure on.
    """
    if model is None or model.source not in ("measured", "transferred"):
        if access is not None:
            raise BadInput(
                f"device {profile.name!r}: the run's predictor was not measured on it, so that a miss would teach it "
                f"nothing; run: natdeploy profile --device {profile.name}, and search again"
            )
        return False
    try:
        with open_units(profile, access or Access()):
            return True
    except DeviceNotReachable as error:
        if access is not None:
            raise
        tell(f"nothing will be measured: {error}", 0.0)
        return False
