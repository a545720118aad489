"""This machine, asked the same question as one at the other end of a cable."""

from __future__ import annotations

import platform

from natdeploy.devices.ask import ask_device
from natdeploy.devices.description import DeviceDescription, parse_description


def describe_this_machine() -> DeviceDescription:
    """The machine that natdeploy runs on. Raises DeviceNotReachable where no POSIX shell can be asked."""
    answer, _ = ask_device("local")
    return parse_description(answer, via="local", unit=platform.node())
