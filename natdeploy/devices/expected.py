"""What a device must be to be used, and how it must be to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.model_run import runs_natively
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible


@dataclass(frozen=True)
class Expected:
    """What the device must be and how it must be when it is timed; None and empty: anything.

    Attributes:
        abi: Android's name of the binary interface, for instance ``arm64-v8a``.
        machine: what ``uname -m`` must say, where there is no Android to ask.
        accepts: whether a model name is of the right kind.
        models: the names it accepts, for errors.
        min_battery_percent: charge below which it is not timed.
        max_celsius: temperature above which it is not timed.
    """

    abi: str | None = None
    machine: str | None = None
    accepts: Callable[[str], bool] | None = None
    models: tuple[str, ...] = ()
    min_battery_percent: float | None = None
    max_celsius: float | None = None

    def check_device(self, said: DeviceDescription, where: str) -> None:
        """Raise DeviceNotReachable for a device of another kind; ``where`` names it."""
        other = None
        if self.abi is not None and said.abis and self.abi not in said.abis:
            other = f"its binary interfaces are {', '.join(said.abis)}, the profile's is {self.abi}"
        elif self.machine is not None and not said.abis and not runs_natively(self.machine, said.machine):
            other = f"it is a {said.machine} machine, the profile's is {self.machine}"
        elif self.accepts is not None and said.model is not None and not self.accepts(said.model):
            other = f"it is a {said.model!r}, the profile is for {', '.join(self.models)}"
        if other is not None:
            raise DeviceNotReachable(f"{where}: {other}; choose the profile of this device")

    def check_condition(self, said: DeviceDescription, machine: str, where: str) -> None:
        """Raise TimingNotPossible where times of a machine's executables would not be the device's own, or not those
        of a device in good condition.
        """
        evidence = said.emulated
        if evidence is None and not runs_natively(machine, said.machine):
            evidence = f"it says {said.machine}, and executables for {machine} run on it"
        if evidence is not None:
            raise TimingNotPossible(f"{where}: its processor is emulated ({evidence}); time it on the real device")
        least, most = self.min_battery_percent, self.max_celsius
        if least is not None and said.battery_percent is not None and said.battery_percent < least:
            raise TimingNotPossible(
                f"{where}: its battery is at {said.battery_percent} %, timing takes {least:g} %; charge it first"
            )
        if most is not None and said.celsius is not None and said.celsius > most:
            raise TimingNotPossible(
                f"{where}: it is at {said.celsius:g} degrees, timing takes {most:g} at most; let it cool down"
            )
