"""Android devices behind ``adb``: a USB cable, or ``adb connect``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from natdeploy.devices.commands import CommandTimeout, Finished, run_command
from natdeploy.devices.link import Command
from natdeploy.ground.errors import DeviceNotReachable

_LIST_LIMIT_S = 6.0
#: State of a device in ``adb devices`` -> what to do about it.
_ADVICE = {
    "unauthorized": "confirm 'Allow USB debugging' on its screen",
    "authorizing": "confirm 'Allow USB debugging' on its screen",
    "offline": "unplug the cable and plug it in again, or run: adb reconnect",
    "no permissions": "let your user open USB devices (udev rules: apt install android-sdk-platform-tools-common)",
    "recovery": "start Android on it",
    "sideload": "start Android on it",
    "bootloader": "start Android on it",
}
_GONE = ("not found", "no devices", "device offline", "closed", "unauthorized", "cannot connect", "protocol fault")


def attached_devices(adb: str | None = None) -> dict[str, str]:
    """Serial -> state of every device that adb sees, in adb's order.

    Args:
        adb: the program; the one on the path, or below ``ANDROID_HOME``, by default.

    Raises DeviceNotReachable where there is no adb or it does not answer.
    """
    done = _adb([find_adb(adb), "devices"])
    if done.status:
        raise DeviceNotReachable(f"adb devices failed: {done.complaint}; try: adb kill-server")
    lines = [line.split("\t", 1) for line in done.stdout.decode(errors="replace").splitlines() if "\t" in line]
    return {serial: state.strip() for serial, state in lines}


def find_adb(adb: str | None = None) -> str:
    """Path of the program. Raises DeviceNotReachable saying how to install it."""
    home = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    beside = Path(home) / "platform-tools" / "adb" if home else None
    found = shutil.which(adb or "adb") or (str(beside) if beside and adb is None and beside.is_file() else None)
    if found is None:
        raise DeviceNotReachable(
            f"{adb or 'adb'}: not installed (Debian and Ubuntu: apt install adb; elsewhere: Android's platform-tools)"
        )
    return found


class AdbLink:
    """adb's client for one device.

    Args:
        serial: as ``adb devices`` lists it; the only one that is attached if not given.
        folder: folder on the device below which scratch folders are made.
        adb: the program.

    Raises DeviceNotReachable where no device, or more than one, could be meant.
    """

    via = "adb"

    def __init__(self, serial: str | None = None, *, folder: str = "/data/local/tmp", adb: str | None = None) -> None:
        self._adb, self.folder = find_adb(adb), folder
        self.unit = serial if serial is not None else self._only_one()

    def check(self) -> None:
        """Raise DeviceNotReachable unless adb lists the device as ready."""
        devices = attached_devices(self._adb)
        state = devices.get(self.unit)
        if state == "device":
            return
        if state is None:
            listed = f"adb sees {', '.join(map(repr, devices))}" if devices else "adb sees no device at all"
            raise DeviceNotReachable(
                f"adb device {self.unit!r}: {listed}; plug it in, switch USB debugging on, and look at: adb devices"
            )
        advice = next((text for key, text in _ADVICE.items() if state.startswith(key)), "look at: adb devices")
        raise DeviceNotReachable(f"adb device {self.unit!r}: is {state}; {advice}")

    def guard(self, script: str) -> Command:
        """``adb shell``."""
        return self.shell(script)

    def shell(self, script: str) -> Command:
        """``adb shell``, which hands one word to the device's own shell as it is."""
        return Command((self._adb, "-s", self.unit, "shell", script))

    def push(self, local: Path, remote: str) -> Command:
        """``adb push``."""
        return Command((self._adb, "-s", self.unit, "push", str(local), remote))

    def failure(self, status: int, stderr: str) -> DeviceNotReachable | None:
        """adb complains in lines that begin with ``error:`` or ``adb:``."""
        done = Finished(status, b"", stderr)
        said = done.complaint
        if status and said.startswith(("error:", "adb:")) and any(text in said for text in _GONE):
            return DeviceNotReachable(f"adb device {self.unit!r}: {said}; plug it in again and look at: adb devices")
        return None

    def toolchain(self) -> dict[str, str]:
        """adb's version."""
        lines = _adb([self._adb, "version"]).stdout.decode(errors="replace").split()
        return {"adb": lines[4] if len(lines) > 4 else "unknown"}

    def close(self) -> None:
        """Nothing of ours: adb's server serves others, too."""

    def _only_one(self) -> str:
        devices = attached_devices(self._adb)
        ready = [serial for serial, state in devices.items() if state == "device"] or list(devices)
        if len(ready) == 1:
            return ready[0]
        if not ready:
            raise DeviceNotReachable("adb: no device is attached; plug it in, switch USB debugging on: adb devices")
        raise DeviceNotReachable(f"adb: {len(ready)} devices are attached ({', '.join(ready)}); name one by its serial")


def _adb(argv: list[str]) -> Finished:
    try:
        return run_command(argv, timeout_s=_LIST_LIMIT_S)
    except CommandTimeout:
        raise DeviceNotReachable(f"adb: no answer after {_LIST_LIMIT_S:g} s; try: adb kill-server") from None
    except OSError as error:
        raise DeviceNotReachable(f"{argv[0]}: cannot be started: {error.strerror}") from None
