"""Energy, by a model: nothing here was measured.

A network keeps its threads busy for as long as it takes, and a busy thread draws what the device's published power
figures say. Memory traffic, clocks and idle draw are not told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput


@dataclass(frozen=True)
class PowerModel:
    """What a network draws while it runs.

    Attributes:
        watts: times milliseconds gives millijoules.
        about: what that is taken from, in words.
    """

    watts: float
    about: str


def power_model(profile: HardwareProfile) -> PowerModel:
    """The draw of a network on the threads that the profile times with.

    One core's draw where it is known; else an equal share of what full load adds to rest; else of the power limit.
    Raises BadInput naming the field of a profile without power figures.
    """
    power, threads = profile.power, profile.timing.threads
    cores = sum(cluster.cores for cluster in profile.clusters)
    if power is not None and profile.compute == "gpu" and power.limit_w is not None:
        return PowerModel(power.limit_w, f"all of power.limit_w, {power.limit_w:g} W")
    if power is not None and cores:
        share = min(1.0, threads / cores)
        if power.core_w is not None:
            return PowerModel(power.core_w * threads, f"power.core_w, {power.core_w:g} W, times {threads} threads")
        if power.load_w is not None and power.idle_w is not None and power.load_w > power.idle_w:
            watts = power.load_w - power.idle_w
            return PowerModel(watts * share, f"power.load_w less idle_w, {watts:g} W, for {threads} of {cores} cores")
        if power.limit_w is not None:
            return PowerModel(
                power.limit_w * share, f"power.limit_w, {power.limit_w:g} W, for {threads} of {cores} cores"
            )
    raise BadInput(
        f"hardware profile {profile.name!r}: no energy without the field 'power': give core_w, or idle_w and load_w, "
        "or limit_w, in watts"
    )
