"""What ways to a device have to offer, so that one runner serves them all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from natdeploy.devices.commands import Finished
from natdeploy.ground.errors import DeviceNotReachable


@dataclass(frozen=True)
class Command:
    """A program of this machine, started without a shell.

    Attributes:
        argv: program and arguments.
        stdin: file that it reads, if any.
    """

    argv: tuple[str, ...]
    stdin: Path | None = None


class Link(Protocol):
    """One way to one device: commands that reach it, and what their failures mean. Holds no connection by itself."""

    @property
    def via(self) -> str:
        """``adb`` or ``ssh``."""
        ...

    @property
    def unit(self) -> str:
        """Which device: a serial, or ``user@host:port``."""
        ...

    @property
    def folder(self) -> str:
        """Folder on the device below which scratch folders are made."""
        ...

    def check(self) -> None:
        """Raise DeviceNotReachable, with advice, where it is plain that nothing will come of it."""
        ...

    def guard(self, script: str) -> Command:
        """Execute a POSIX shell script on the device, standard input and output connected to this process's."""
        ...

    def shell(self, script: str) -> Command:
        """Execute a POSIX shell script on the device, with its exit status and its output as it is."""
        ...

    def push(self, local: Path, remote: str) -> Command:
        """Copy a file to a path on the device."""
        ...

    def failure(self, status: int, stderr: str) -> DeviceNotReachable | None:
        """What a command's end says about the connection; None where it was the device's own doing."""
        ...

    def toolchain(self) -> dict[str, str]:
        """Name and version of the client."""
        ...

    def close(self) -> None:
        """Remove what the link made on this machine."""
        ...


def full_disk(done: Finished) -> bool:
    """Whether a command failed because the device has no room."""
    return done.status != 0 and any(text in done.stderr for text in ("No space left", "ENOSPC", "Disk quota"))
