"""The one question that every device is asked: a shell script, whose answers are read by those who want to know."""

from __future__ import annotations

#: Asks any Linux, Android too, in POSIX shell. Each answer stands below a line ``@name``; what is not there stays
#: empty. ``/dev/null`` makes grep name a file that is alone.
PROBE = r"""
exec 2>/dev/null
echo @machine; uname -m
echo @shell; readlink "/proc/$$/exe"
echo @tree_model; tr -d '\000' < /proc/device-tree/model; echo
echo @dmi_product; cat /sys/class/dmi/id/product_name
echo @virtualisation; systemd-detect-virt
echo @zones; cat /sys/class/thermal/thermal_zone*/temp
echo @properties; getprop | grep -E '^\[ro\.(hardware|(kernel|boot)\.qemu|product\.|soc\.)'
echo @battery; dumpsys battery
echo @power; dumpsys power | grep -E 'mWakefulness=|Display Power'
echo @cpuinfo; cat /proc/cpuinfo
echo @memory; grep MemTotal /proc/meminfo
echo @cores; cd /sys/devices/system/cpu
grep . /dev/null cpu[0-9]*/cpufreq/cpuinfo_max_freq cpu[0-9]*/regs/identification/midr_el1
grep . /dev/null cpu[0-9]*/cache/index*/level cpu[0-9]*/cache/index*/type cpu[0-9]*/cache/index*/size
grep . /dev/null cpu[0-9]*/cache/index*/shared_cpu_list
true
"""


def sections(text: str) -> dict[str, str]:
    """Name -> answer, without the white space around it; what stands before the first name is called ``""``."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.replace("\r\n", "\n").splitlines():
        if line.startswith("@"):
            name = line[1:]
        found.setdefault(name, []).append("" if line.startswith("@") else line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}
