"""``profile --check``: whether stored predictors still hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.devices.reach import Via
    from natdeploy.latency.profiling.check import LatencyCheck


@dataclass(frozen=True)
class CheckResult(Result):
    """Stored predictors beside networks that were timed again; one for each runtime."""

    device: str
    space: str
    runtimes: tuple[LatencyCheck, ...]


def check_profile(
    device: str = "host",
    *,
    space: str = "mbv3-micro",
    runtimes: Sequence[str] | None = None,
    networks: int = 8,
    via: Via | None = None,
    units: Sequence[str] = (),
    progress: Progress | None = None,
) -> CheckResult:
    """Time a few stored networks again and tell whether the device's predictors still hold, or how far they are off.

    Args:
        device: name of a hardware profile, or a path to one.
        space: search space.
        runtimes: whose predictors; None takes all that the device has.
        networks: how many to time again with each, spread over their latencies.
        via, units: way to a device that is not this machine, and which ones of several.
        progress: told what is going on.

    Raises BadInput for an unknown device, space or runtime, and for a device that was not profiled; DeviceNotReachable.
    """
    from natdeploy.devices import load_profile
    from natdeploy.devices.units import Access
    from natdeploy.latency.profiling.check import check_latency_model

    hardware = load_profile(device)
    access = Access(via, tuple(units))
    access.check(hardware)
    found = [
        check_latency_model(hardware, space, runtime, networks=networks, access=access, progress=progress)
        for runtime in runtimes or hardware.runtimes
    ]
    return CheckResult(hardware.name, space, tuple(found))
