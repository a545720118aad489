"""Asks a device what it is, over any way to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from natdeploy.devices.commands import CommandTimeout, run_command
from natdeploy.devices.link import Command, Link
from natdeploy.devices.probe import PROBE
from natdeploy.ground.errors import BadInput, DeviceNotReachable

_LIMIT_S = 15.0
_SSH = re.compile(r"ssh:(?:(?P<user>[^@:]+)@)?(?P<host>[^@:]+)(?::(?P<port>\d{1,5}))?")


def ask_device(source: str) -> tuple[str, dict[str, Any]]:
    """The answer to :data:`natdeploy.devices.probe.PROBE`, and the section ``reach`` that led to it.

    Args:
        source: ``local`` (this machine), ``adb`` or ``adb:SERIAL``, ``ssh:[USER@]HOST[:PORT]``, or a file with the
            output of such tools, which says nothing of how the device is reached.

    Raises DeviceNotReachable with advice where there is no answer within 15 seconds, BadInput for no source.
    """
    if source == "local":
        return _answer(Command(("sh", "-c", PROBE))), {"via": ["local"]}
    if source == "adb" or source.startswith("adb:"):
        from natdeploy.devices.adb import AdbLink

        serial = source.removeprefix("adb").removeprefix(":")
        return _over(AdbLink(serial or None)), {"adb": {"serial": serial}} if serial else {}
    if source.startswith("ssh:"):
        from natdeploy.devices.ssh import SshLink

        found = _SSH.fullmatch(source)
        if found is None:
            raise BadInput(f"{source!r}: expected ssh:[USER@]HOST[:PORT], for instance ssh:pi@raspberrypi.local")
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 1 <= port <= 65_535:
            raise BadInput(f"{source!r}: port {port} is none; expected 1 to 65535")
        ssh = {name: item for name, item in (*found.groupdict().items(), ("port", port)) if item is not None}
        return _over(SshLink(found["host"], user=found["user"], port=port)), {"ssh": ssh}
    try:
        return Path(source).read_text(encoding="utf-8", errors="replace"), {}
    except OSError as error:
        raise BadInput(
            f"{source}: {error.strerror}; expected local, adb[:SERIAL], ssh:[USER@]HOST[:PORT], or a text file"
        ) from None


def _over(link: Link) -> str:
    try:
        link.check()
        return _answer(link.guard(PROBE), link)
    finally:
        link.close()


def _answer(command: Command, link: Link | None = None) -> str:
    name = f"{link.via} device {link.unit!r}" if link else "this machine"
    try:
        done = run_command(command.argv, timeout_s=_LIMIT_S, stdin=command.stdin)
    except CommandTimeout:
        raise DeviceNotReachable(f"{name}: no answer within {_LIMIT_S:g} s; check the connection") from None
    except OSError as error:
        raise DeviceNotReachable(f"{name}: cannot run {command.argv[0]}: {error.strerror}") from None
    if link and (failed := link.failure(done.status, done.stderr)):
        raise failed
    if done.status:
        raise DeviceNotReachable(f"{name}: its shell failed with status {done.status}: {done.complaint}")
    return done.stdout.decode(errors="replace")
