"""A device that is held: commands and files over a :class:`~natdeploy.devices.link.Link`, and a scratch folder.

The folder is a :class:`~natdeploy.devices.guard.Guard`'s, which removes it whatever happens; every command that takes
long, or fails, is followed by a question whether the device is still there.
"""

from __future__ import annotations

import secrets
import shlex
import time
from pathlib import Path
from typing import NoReturn

from natdeploy.devices.commands import CommandTimeout, Finished, run_command
from natdeploy.devices.guard import Guard, GuardRefused, guard_script
from natdeploy.devices.link import Command, Link, full_disk
from natdeploy.ground.errors import BadInput, DeviceNotReachable

#: Seconds for connecting, and for what a healthy device does at once. With a ping at the end, 15 s are not exceeded.
CONNECT_LIMIT_S = 12.0
COMMAND_LIMIT_S = 10.0
_LAST_PING_S = 2.0
#: The slowest connection that is still waited for.
_SLOWEST_BYTES_PER_S = 100_000


class Connection:
    """Holds a device until it is closed. Raises DeviceNotReachable, within 15 s, with advice in one line.

    Attributes:
        where: the device, as errors name it.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.where = f"{link.via} device {link.unit!r}"
        self._guard: Guard | None = None
        self._deadline = time.monotonic() + CONNECT_LIMIT_S
        try:
            link.check()
            self._guard = self._connect()
        except BaseException:
            self.close()
            raise

    @property
    def connecting_s(self) -> float:
        """Seconds that are left of those for connecting, for a first question."""
        return self._deadline - time.monotonic()

    @property
    def scratch(self) -> str:
        """The scratch folder on the device."""
        return self._held.scratch

    def shell(self, script: str, limit_s: float) -> Finished:
        """Execute a shell script on the device. Raises DeviceNotReachable where the connection fails."""
        return self._execute(self._link.shell(script), limit_s)

    def in_scratch(self, script: str, limit_s: float) -> Finished:
        """As :meth:`shell`, in the scratch folder; status 74 where that is gone."""
        return self.shell(f"cd {shlex.quote(self.scratch)} || exit 74\n{script}", limit_s)

    def push(self, local: Path, name: str) -> None:
        """Copy a file into the scratch folder. Raises DeviceNotReachable, for a full disk too."""
        size = local.stat().st_size
        remote = f"{self.scratch}/{name}"
        done = self._execute(self._link.push(local, remote), COMMAND_LIMIT_S + size / _SLOWEST_BYTES_PER_S)
        if done.status == 0:
            done = self.shell(f"wc -c < {shlex.quote(remote)}", COMMAND_LIMIT_S)
            said = done.stdout.decode(errors="replace").strip()
            if said == str(size):
                return
            if done.status == 0 and not said.isdecimal():
                raise DeviceNotReachable(
                    f"{self.where}: says {said[:60]!r} where only an answer is expected; "
                    "let its shell's start-up files print nothing"
                )
        if full_disk(done) or done.status == 0:
            raise DeviceNotReachable(f"{self.where}: the device's disk is full ({self.scratch}); free some space on it")
        raise DeviceNotReachable(f"{self.where}: {name} cannot be written to {self.scratch}: {done.complaint}")

    def close(self) -> None:
        """Remove the scratch folder, end what still runs in it, and hang up."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._link.close()

    @property
    def _held(self) -> Guard:
        if self._guard is None:
            raise BadInput(f"{self.where}: the runner is closed")
        return self._guard

    def _connect(self) -> Guard:
        nonce = secrets.token_hex(6)
        command = self._link.guard(guard_script(self._link.folder, nonce))
        try:
            return Guard(command.argv, nonce, self.where, self.connecting_s)
        except OSError as error:
            _cannot_start(command, error)
        except GuardRefused as refused:
            if failure := self._link.failure(refused.status, refused.stderr):
                raise failure from None
            done = Finished(refused.status, b"", refused.stderr)
            reason = "its disk is full; free some space on it" if full_disk(done) else done.complaint
            raise DeviceNotReachable(
                f"{self.where}: no scratch folder can be made in {self._link.folder}: {reason}"
            ) from None

    def _execute(self, command: Command, limit_s: float) -> Finished:
        try:
            done = run_command(command.argv, timeout_s=limit_s, stdin=command.stdin, alive=self._held.ping)
        except CommandTimeout:
            self._held.ping(_LAST_PING_S)  # says it where the whole connection is frozen
            raise DeviceNotReachable(f"{self.where}: not done after {limit_s:g} s; the command was stopped") from None
        except OSError as error:
            _cannot_start(command, error)
        if failure := self._link.failure(done.status, done.stderr):
            raise failure
        if done.status:
            self._held.ping(_LAST_PING_S)  # a connection that was cut is not the executable's fault
        return done


def _cannot_start(command: Command, error: OSError) -> NoReturn:
    raise DeviceNotReachable(f"{command.argv[0]}: cannot be started: {error.strerror}") from None
