"""A scratch folder on a device that vanishes with the connection to it, and with it whatever still runs there.

A shell on the device makes the folder, answers each line with the same line, and tidies up at the end of its input: on
:meth:`Guard.close`, when this process is killed, or when the cable is pulled. A folder whose shell died with the device
is removed by the next guard; that shell may stay a zombie where the first process reaps none, as in many containers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence

from natdeploy.devices.commands import kill_group, start_group
from natdeploy.ground.errors import DeviceNotReachable

#: Seconds a device may take to answer one line.
ANSWER_LIMIT_S = 5.0
#: Seconds it may take to tidy up.
_CLOSE_LIMIT_S = 4.0

_SCRIPT = """
umask 077
gone() {{ [ ! -d "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }}
for d in {folder}/natdeploy-*-*; do [ -d "$d" ] && gone "${{d##*-}}" && rm -rf "$d"; done 2>/dev/null
d={folder}/natdeploy-{nonce}-$$
trap '' HUP INT TERM PIPE
mkdir "$d" || exit 73
echo "$d"
while read -r line; do echo "$line"; done 2>/dev/null
for f in "$d"/*.pid; do [ -f "$f" ] && kill -9 "$(cat "$f")"; done 2>/dev/null
rm -rf "$d"
"""


class GuardRefused(Exception):
    """The guard's shell ended before it had a folder. ``status`` and ``stderr`` are the command's."""

    def __init__(self, status: int, stderr: str) -> None:
        super().__init__(stderr)
        self.status, self.stderr = status, stderr


def guard_script(folder: str, nonce: str) -> str:
    """What the device's POSIX shell executes."""
    return _SCRIPT.format(folder=shlex.quote(folder), nonce=nonce)


class Guard:
    """One scratch folder on a device.

    Args:
        command: executes :func:`guard_script` on the device, standard input and output connected.
        nonce: the one of the script, in the folder's name.
        where: the device, named in errors.
        limit_s: seconds until the folder must be there.

    Raises GuardRefused where the command ends by itself, DeviceNotReachable where nothing answers in time, OSError
    where it cannot be started.
    """

    def __init__(self, command: Sequence[str], nonce: str, where: str, limit_s: float) -> None:
        self._where = where
        self._rest = b""
        self._dead = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = start_group(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0
        )
        try:
            self.scratch = self._line(limit_s, f"/natdeploy-{nonce}-")
        except BaseException:
            self._dead = True
            self.close()
            raise

    def ping(self, limit_s: float = ANSWER_LIMIT_S) -> None:
        """Raise DeviceNotReachable unless the device answers in time."""
        word = secrets.token_hex(4)
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(word.encode() + b"\n")
            self._line(limit_s, word)
        except (BrokenPipeError, GuardRefused):
            self._dead = True
            raise DeviceNotReachable(f"{self._where}: the connection was lost; connect the device again") from None
        except DeviceNotReachable:
            self._dead = True
            raise

    def close(self) -> None:
        """Let the device tidy up; a connection that is known to be dead is not waited for."""
        if self._process.stdin is None or self._stderr.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self._dead:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_LIMIT_S)
        kill_group(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def _line(self, limit_s: float, holding: str) -> str:
        """The next line that holds a text; others are a login's greetings."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + max(limit_s, 0.0)
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                if holding in (text := line.decode(errors="replace").strip()):
                    return text
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise DeviceNotReachable(
                    f"{self._where}: no answer after {limit_s:.0f} s; check the cable or the network, and that the "
                    "device is awake"
                )
            block = os.read(self._process.stdout.fileno(), 4096)
            if not block:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(2)
                kill_group(self._process)
                self._stderr.seek(0)
                raise GuardRefused(self._process.returncode, self._stderr.read().decode(errors="replace"))
            self._rest += block[-65536:]
