"""A device as it is now: which one it is, and in what condition."""

from __future__ import annotations

import re
from dataclasses import dataclass

from natdeploy.devices.probe import sections
from natdeploy.devices.survey import Survey, read_survey

#: ``ro.hardware`` of Android's emulators.
_VIRTUAL_PHONES = ("goldfish", "ranchu", "cutf", "cutf_cvm", "vbox86")


@dataclass(frozen=True)
class DeviceDescription:
    """A device as it is now.

    Attributes:
        via: the way it is reached.
        unit: which one: serial, ``user@host:port``, or the emulator.
        machine: as ``uname -m`` says it.
        model: name of the product, where it has one.
        abis: Android's binary interfaces, the preferred one first.
        clocks_mhz: highest clock of each core that the kernel knows it of, in order of their numbers.
        emulated: what shows that the processor is emulated; None where nothing does.
        battery_percent: charge.
        powered: whether it hangs on a charger.
        celsius: temperature of the battery, of the hottest zone where there is none.
        screen_on: whether the screen is lit.
        clock: ``device``, or ``test-only`` for a clock that a test has put in its place.
    """

    via: str
    unit: str
    machine: str
    model: str | None = None
    abis: tuple[str, ...] = ()
    clocks_mhz: tuple[float, ...] = ()
    emulated: str | None = None
    battery_percent: int | None = None
    powered: bool | None = None
    celsius: float | None = None
    screen_on: bool | None = None
    clock: str = "device"


def parse_description(text: str, *, via: str, unit: str) -> DeviceDescription:
    """What the answers to :data:`natdeploy.devices.probe.PROBE` mean; those that are missing or odd become None."""
    facts, survey = sections(text), read_survey(text)
    battery = dict(re.findall(r"^\s*([\w ]+?): (\S+)\s*$", facts.get("battery", ""), re.MULTILINE))
    level, tenths = battery.get("level", ""), battery.get("temperature", "")
    zones = [int(zone) / 1000 for zone in re.findall(r"^-?\d+$", facts.get("zones", ""), re.MULTILINE)]
    zones = [zone for zone in zones if 0 < zone < 130]  # others are sensors that are switched off
    powered = [battery[key] == "true" for key in battery if key.endswith("powered")]
    power = facts.get("power", "")
    awake = re.search(r"mWakefulness=(\w+)", power)
    lit = re.search(r"Display Power: state=(\w+)", power)
    screen = lit.group(1) == "ON" if lit else awake.group(1) == "Awake" if awake else None
    return DeviceDescription(
        via=via,
        unit=unit,
        machine=facts.get("machine", ""),
        model=survey.model or facts.get("dmi_product") or None,
        abis=tuple(abi for abi in survey.properties.get("ro.product.cpu.abilist", "").split(",") if abi),
        clocks_mhz=tuple(core.clock_mhz for core in survey.cores.values() if core.clock_mhz is not None),
        emulated=_emulation(facts, survey),
        battery_percent=int(level) if level.isdecimal() else None,
        powered=any(powered) if powered else None,
        celsius=int(tenths) / 10 if tenths.lstrip("-").isdecimal() else max(zones, default=None),
        screen_on=screen,
    )


def _emulation(facts: dict[str, str], survey: Survey) -> str | None:
    """What shows that the device's processor is emulated, or None. A hypervisor alone is no emulation."""
    machine, cpuinfo = facts.get("machine", ""), facts.get("cpuinfo", "")
    arm = machine.startswith(("aarch64", "arm"))
    shell = facts.get("shell", "").rpartition("/")[2]
    if shell.startswith("qemu-"):
        return f"its shell runs under {shell}"
    properties = survey.properties
    qemu = "1" in (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu"))
    if qemu or properties.get("ro.hardware") in _VIRTUAL_PHONES:
        return "it is Android's emulator"
    if facts.get("virtualisation") == "qemu":
        return "systemd-detect-virt says qemu: no hardware acceleration"
    if found := re.search(r"QEMU (?:TCG|Virtual) CPU", cpuinfo):
        return f"its processor is called {found.group()}"
    if facts.get("dmi_product") == "QEMU Virtual Machine":  # QEMU's Arm boards call it "KVM ..." with acceleration
        return "it is a machine of QEMU's without hardware acceleration"
    if arm and "vendor_id" in cpuinfo:
        return f"it says {machine}, but /proc/cpuinfo describes an x86 processor"
    if arm and re.search(r"^CPU implementer\s*: 0x0+$", cpuinfo, re.MULTILINE):
        return "nobody made its processor: CPU implementer is 0"
    return None
