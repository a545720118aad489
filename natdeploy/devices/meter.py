"""Power meters that a device's own kernel offers, read in the same way here and at the other end of a cable.

Understood are, the first one that can be read being used: the rails of a Jetson's INA3221 (NVIDIA, Jetson Linux
Developer Guide, "Software-Based Power Consumption Modeling"), the package counters of RAPL under
``/sys/class/powercap`` (Linux, Documentation/power/powercap), and the fuel gauge of a battery, which measures what the
device takes only while it hangs on no charger (Linux, Documentation/ABI/testing/sysfs-class-power).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Files that are read, as patterns of a shell, below the device's root.
METER_FILES = (
    "sys/class/powercap/intel-rapl:*/name",
    "sys/class/powercap/intel-rapl:*/energy_uj",
    "sys/class/powercap/intel-rapl:*/max_energy_range_uj",
    "sys/class/power_supply/*/type",
    "sys/class/power_supply/*/status",
    "sys/class/power_supply/*/online",
    "sys/class/power_supply/*/current_now",
    "sys/class/power_supply/*/voltage_now",
    "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*",
    "sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input",
    "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label",
    "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_input",
    "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr*_input",
)
#: Shell function ``meter``: one reading as text; :func:`read_here` gives the same. ``/dev/null`` makes grep name a file
#: that is alone.
METER_SCRIPT = (
    'meter() { echo "@reading"; cut -d " " -f 1 /proc/uptime; '
    f"grep . /dev/null {' '.join('/' + pattern for pattern in METER_FILES)}; }} 2> /dev/null\n"
)
#: How long a run must last for its power to be known, in seconds: counters are exact at once, gauges follow slowly.
COUNTER_S, GAUGE_S = 0.4, 1.6

_UPTIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
#: Rails that feed a whole Jetson module; where there is none of them, all rails add up.
_TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")
_FEWEST_GAUGES = 3


@dataclass(frozen=True)
class Reading:
    """What the meters' files held at one instant.

    Attributes:
        at_s: when, by the device's clock.
        files: path -> content of each that could be read.
    """

    at_s: float
    files: Mapping[str, str]


@dataclass(frozen=True)
class Meter:
    """Which meter of a device can be read.

    Attributes:
        name: for people; None where there is none.
        reason: why there is none; empty where there is one.
        seconds: how long a run must last for this meter.
    """

    name: str | None
    reason: str = ""
    seconds: float = COUNTER_S


#: Why a battery tells nothing of a device that is powered by something else.
ON_CHARGER = "a battery on a charger does not show what the device takes (adb tcpip 5555, then unplug)"
NO_METER = Meter(None, "none was looked for")


@dataclass(frozen=True)
class MeteredRun:
    """A network that ran again and again while a meter was read.

    Attributes:
        watts: mean power meanwhile, of all that the meter feeds.
        idle_watts: the same just before, at rest; None where that was not seen.
        run_ms: median of its runs, in milliseconds.
        resolution: share of ``watts`` up to which the meter tells it; None where the meter's own grain does not matter.
    """

    watts: float
    idle_watts: float | None
    run_ms: float
    resolution: float | None = None


@dataclass(frozen=True)
class NotMetered:
    """A network that ran while a meter was read that did not tell enough.

    Attributes:
        reason: in words, after the meter's name.
    """

    reason: str


#: What became of a run beside a meter.
Metered = MeteredRun | NotMetered
TOLD_NOTHING = NotMetered("told nothing while the network ran")


def read_here(root: Path = Path("/")) -> str:
    """One reading of this machine, as ``meter`` of :data:`METER_SCRIPT` prints it."""
    lines = ["@reading", str(time.monotonic())]
    for pattern in METER_FILES:
        for path in sorted(root.glob(pattern)):
            try:
                lines.append(f"/{path.relative_to(root)}:{path.read_text().strip()}")
            except OSError:
                continue  # RAPL's counters are often for root alone
    return "\n".join(lines) + "\n"


def parse_readings(text: str) -> list[Reading]:
    """What one or more readings say; lines that are none are passed over."""
    found: list[Reading] = []
    for block in text.replace("\r", "").split("@reading\n")[1:]:
        first, *lines = block.splitlines() or [""]
        if _UPTIME.fullmatch(first.strip()):
            pairs = (line.rpartition(":") for line in lines)
            found.append(Reading(float(first), {path: value.strip() for path, colon, value in pairs if colon}))
    return found


def find_meter(reading: Reading) -> Meter:
    """The meter that a reading shows."""
    if rails := _rails(reading):
        total = [name for name in rails if name in _TOTAL_RAILS]
        return Meter(f"INA3221 ({', '.join(total or rails)})", seconds=GAUGE_S)
    if counters := _counters(reading):
        return Meter(f"RAPL ({', '.join(sorted(name for name, _, _ in counters.values()))})")
    if any(path.endswith("/name") and "powercap" in path for path in reading.files):
        return Meter(None, "RAPL's counters are not readable (sudo chmod a+r /sys/class/powercap/*/energy_uj)")
    if (watts := _battery(reading)) is not None:
        if on_charger(reading):
            return Meter(None, ON_CHARGER)
        if watts > 0:
            return Meter("battery gauge", seconds=GAUGE_S)
    return Meter(
        None, "no meter is readable (RAPL, INA3221 rails, a battery's current_now and voltage_now, or its counter)"
    )


def meter_here(root: Path = Path("/")) -> Meter:
    """The meter of this machine."""
    return find_meter(parse_readings(read_here(root))[0])


def quick_meter(meter: Meter) -> Meter:
    """The meter, if many networks can be metered one after another by it."""
    if meter.name is None or meter.seconds <= GAUGE_S:
        return meter
    return Meter(None, f"{meter.name} takes {meter.seconds / 60:.0f} min a network: bench reads it, profile does not")


def mean_watts(readings: Sequence[Reading]) -> float | None:
    """Mean power over readings that were taken one after another; None where they do not tell.

    Counters may run over once; gauges need three readings that show a power.
    """
    if not readings or find_meter(readings[0]).name is None:
        return None
    first, last = readings[0], readings[-1]
    if rails := [_rails(reading) for reading in readings if _rails(reading)]:
        return _mean([sum(one[name] for name in one if _counted(name, one)) for one in rails])
    if _counters(first):
        return _counted_watts(first, last)
    return _mean([watts for one in readings if not on_charger(one) and (watts := _battery(one)) is not None])


def _mean(watts: Sequence[float]) -> float | None:
    return sum(watts) / len(watts) if len(watts) >= _FEWEST_GAUGES and sum(watts) > 0 else None


def _counted_watts(first: Reading, last: Reading) -> float | None:
    joules, begin, end = 0.0, _counters(first), _counters(last)
    if last.at_s <= first.at_s or set(begin) != set(end):
        return None
    for zone, (_, start_uj, range_uj) in begin.items():
        used = end[zone][1] - start_uj
        joules += 1e-6 * (used + range_uj if used < 0 else used)
    return joules / (last.at_s - first.at_s) if joules > 0 else None


def _counters(reading: Reading) -> dict[str, tuple[str, int, int]]:
    """Zone -> name, microjoules, where they begin anew; of whole packages, whose parts would be counted twice."""
    found = {}
    for path, name in reading.files.items():
        zone = path.removesuffix("/name")
        if "/powercap/" not in path or zone == path or not name.startswith("package"):
            continue
        value = whole(reading.files.get(f"{zone}/energy_uj"))
        most = whole(reading.files.get(f"{zone}/max_energy_range_uj"))
        if value is not None and most:
            found[zone] = (name, value, most)
    return found


def _rails(reading: Reading) -> dict[str, float]:
    """Name of a rail -> watts."""
    found: dict[str, float] = {}
    for path, name in reading.files.items():
        if old := re.fullmatch(r"(.*)/rail_name_(\d+)", path):
            milliwatts = whole(reading.files.get(f"{old[1]}/in_power{old[2]}_input"))
            if milliwatts is not None:
                found[name] = milliwatts / 1e3
        elif new := re.fullmatch(r"(.*/hwmon\d+)/in(\d+)_label", path):
            volts = whole(reading.files.get(f"{new[1]}/in{new[2]}_input"))
            amperes = whole(reading.files.get(f"{new[1]}/curr{new[2]}_input"))
            if volts is not None and amperes is not None:
                found[name] = volts * amperes / 1e6
    return found


def _counted(name: str, rails: Mapping[str, float]) -> bool:
    """Whether a rail counts: a module's own is the sum of the others."""
    return name in _TOTAL_RAILS or not any(total in rails for total in _TOTAL_RAILS)


def _battery(reading: Reading) -> float | None:
    """Watts through the battery, either way: makers disagree about the sign."""
    for path, kind in reading.files.items():
        supply = path.removesuffix("/type")
        if supply != path and kind == "Battery":
            microamperes = whole(reading.files.get(f"{supply}/current_now"))
            microvolts = whole(reading.files.get(f"{supply}/voltage_now"))
            if microamperes is not None and microvolts is not None:
                return abs(microamperes) * microvolts / 1e12
    return None


def on_charger(reading: Reading) -> bool:
    """Whether anything else than the battery feeds the device."""
    online = [path for path, value in reading.files.items() if path.endswith("/online") and value == "1"]
    chargers = [path for path in online if reading.files.get(f"{path.removesuffix('/online')}/type") != "Battery"]
    states = [value for path, value in reading.files.items() if path.endswith("/status")]
    return bool(chargers) or any(state != "Discharging" for state in states)


def whole(text: str | None) -> int | None:
    """A file's content as a number; None for anything else."""
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,18}", text) else None
