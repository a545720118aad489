"""This machine, asked the same questions as one at the other end of a cable."""

from __future__ import annotations

import platform

from natdeploy.devices.commands import CommandTimeout, run_command
from natdeploy.devices.description import PROBE, DeviceDescription, parse_description
from natdeploy.ground.errors import DeviceNotReachable

_LIMIT_S = 10.0


def describe_this_machine() -> DeviceDescription:
    """The machine that natdeploy runs on. Raises DeviceNotReachable where no POSIX shell can be asked."""
    try:
        done = run_command(["sh", "-c", PROBE], timeout_s=_LIMIT_S)
    except (OSError, CommandTimeout) as error:
        raise DeviceNotReachable(f"this machine cannot be described: {error}") from None
    return parse_description(done.stdout.decode(errors="replace"), via="local", unit=platform.node())
