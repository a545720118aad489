"""An Android battery's charge counter: what tells a phone's power where its shell may not read the gauge's current.

Three places tell it, the first one that does being used: the kernel's ``charge_counter`` (microampere-hours, Linux,
Documentation/ABI/testing/sysfs-class-power), ``dumpsys battery``'s ``Charge counter`` (the same by Android's health
service, which refreshes it as seldom as once a minute), and ``dumpsys batterystats -c``, whose line ``dc`` has the
milliampere-hours discharged since the last charge (AOSP, BatteryStats.java, ``BATTERY_DISCHARGE_DATA``; ``--checkin``
would clear a report that others wait for).

A counter moves in steps and at times of its own, so that power is taken from one of its changes to another: then its
grain, the greatest common divisor of what it moved by, and the time between two looks at it are all that is not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from natdeploy.devices.meter import ON_CHARGER, Meter, Reading, on_charger, whole

#: How long a network has to run for its power to be known by a counter, and the time between two looks, in seconds.
CHARGE_S, LOOK_S = 180.0, 5.0
#: Up to which share of itself a power must be known to be called measured.
WORST_RESOLUTION = 0.1
#: Files of the kernel that are read, as patterns of a shell.
_FILES = " ".join(
    f"/sys/class/power_supply/*/{name}" for name in ("type", "status", "online", "voltage_now", "charge_counter")
)
#: Shell function ``charge``: one reading in the form of ``meter``. batterystats is asked where nobody else tells, and
#: given up where it takes as long as a lost device.
CHARGE_SCRIPT = rf"""charge() {{
echo "@reading"; cut -d " " -f 1 /proc/uptime
k=$(grep . /dev/null {_FILES})
b=$(dumpsys battery | sed -n -e 's,^ *\([A-Za-z ]*\): ,dumpsys battery \1:,p' \
-e 's,^ *(UPDATES STOPPED.*,dumpsys battery set:1,p')
echo "$k"; echo "$b"
case "$k $b" in */charge_counter:[1-9-]*|*"Charge counter:"[1-9-]*) ;;
*) timeout 7 dumpsys batterystats -c android | sed -n 's,^[0-9]*\,0\,l\,dc\,,batterystats dc:,p' ;; esac
}} 2> /dev/null
"""

_KERNEL, _SERVICE, _STATS = (f"charge counter ({who})" for who in ("sysfs", "dumpsys battery", "batterystats"))
_DISCHARGING = "3"  # BatteryManager.BATTERY_STATUS_DISCHARGING


def charge_meter(reading: Reading) -> Meter | None:
    """The counter that a reading of ``charge`` shows, or why it cannot be used; None where there is no counter."""
    found = _counter(reading)
    if found is None:
        return None
    if "dumpsys battery set" in reading.files:
        return Meter(None, "what dumpsys battery tells was set by hand (adb shell dumpsys battery reset)")
    if _charging(reading):
        return Meter(None, ON_CHARGER)
    return Meter(found[0], seconds=CHARGE_S)


def charge_power(readings: Sequence[Reading]) -> tuple[float, float] | str:
    """Mean power by a charge counter, in watts, and the share of it up to which it is known; else why it is not.

    Args:
        readings: of ``charge``, one after another while the same work was done.
    """
    told = [(one.at_s, *found, volts) for one in readings if (found := _counter(one)) and (volts := _volts(one))]
    points = [(at_s, charge, volts) for at_s, who, charge, volts in told if who == told[0][1]]
    if any(_charging(one) for one in readings):
        return "does not tell: the battery was charged meanwhile"
    charges = [charge for _, charge, _ in points]
    changes = [place for place in range(1, len(points)) if charges[place] != charges[place - 1]]
    length_s = points[-1][0] - points[0][0] if points else 0.0
    if len(changes) < 2:
        return (
            f"moved {'once' if changes else 'not at all'} in {length_s:.0f} s, and twice is the least that tells power"
        )
    first, last = changes[0], changes[-1]
    used, seconds = charges[first] - charges[last], points[last][0] - points[first][0]
    if used <= 0 or seconds <= 0:
        return "rose while the network ran"
    grain = math.gcd(*(charges[place] - charges[place - 1] for place in changes))
    look_s = max(points[place][0] - points[place - 1][0] for place in (first, last))
    resolution = grain / used + look_s / seconds
    if resolution > WORST_RESOLUTION:
        return (
            f"fell by {used / 1e3:g} mAh in {seconds:.0f} s, in grains of {grain / 1e3:g} mAh: that tells "
            f"power to {100 * resolution:.0f} %, {100 * WORST_RESOLUTION:.0f} % is the most"
        )
    volts = sum(point[2] for point in points[first : last + 1]) / (last + 1 - first)
    return 3600e-6 * used * volts / seconds, resolution


def _counter(reading: Reading) -> tuple[str, int] | None:
    """Who tells the charge, and the charge in microampere-hours, from any beginning."""
    for path, text in reading.files.items():
        if path.endswith("/charge_counter") and _is_battery(reading, path) and (value := whole(text)):
            return _KERNEL, value
    if value := whole(reading.files.get("dumpsys battery Charge counter")):  # 0 where the health service knows of none
        return _SERVICE, value
    fields = reading.files.get("batterystats dc", "").split(",")
    discharged = whole(fields[4]) if len(fields) > 4 else None  # in percent only before Android 7
    return None if discharged is None else (_STATS, -1000 * discharged)


def _volts(reading: Reading) -> float | None:
    for path, text in reading.files.items():
        if path.endswith("/voltage_now") and _is_battery(reading, path) and (value := whole(text)):
            return value / 1e6
    millivolts = re.match(r"[0-9]{4,5}\b", reading.files.get("dumpsys battery voltage", ""))
    return int(millivolts[0]) / 1e3 if millivolts else None


def _is_battery(reading: Reading, path: str) -> bool:
    return reading.files.get(f"{path.rpartition('/')[0]}/type") == "Battery"


def _charging(reading: Reading) -> bool:
    """By the kernel's word or the health service's: either may be silent."""
    powered = [
        text for path, text in reading.files.items() if path.startswith("dumpsys battery ") and path.endswith("powered")
    ]
    status = reading.files.get("dumpsys battery status", _DISCHARGING)
    return "true" in powered or not status.startswith(_DISCHARGING) or on_charger(reading)
