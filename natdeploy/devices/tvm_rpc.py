"""Devices that a TVM RPC tracker hands out: shell and files through a session, in a child process with hard deadlines.

The executables are those of adb and ssh; a small library (``rpc_shell.c``) starts them. That takes a server on a Linux
that may start programs, as ``python -m tvm.exec.rpc_server`` is one; an app on a phone may not.
"""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from natdeploy.devices import rpc_child
from natdeploy.devices.commands import Finished
from natdeploy.devices.connection import COMMAND_LIMIT_S
from natdeploy.devices.link import full_disk
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.devices.rpc_carrier import carrier
from natdeploy.devices.rpc_tracker import check_tracker
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable
from natdeploy.ground.processes import ChildWorker

Result = TypeVar("Result")
#: Seconds for the tracker's answer, for a server, and for anything that a healthy device answers at once.
_TRACKER_LIMIT_S, _REQUEST_LIMIT_S, _ANSWER_LIMIT_S = 3.0, 6.0, 6.0
#: Seconds that this machine may take to import TVM.
_IMPORT_LIMIT_S = 180.0
_SLOWEST_BYTES_PER_S = 100_000
#: Seconds between two questions whether a script has ended: short ones are answered soon, long ones left in peace.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 2.0

#: Makes the scratch folder and says which device this is. When the session's process there has ended, the folder goes,
#: and what runs in it.
_WATCH = """mkdir {scratch} || exit 73
cat /etc/machine-id 2> /dev/null || cat /proc/sys/kernel/random/boot_id; uname -n
(trap '' HUP INT TERM PIPE
while [ -d /proc/{session} ] && ! grep -q '^State:[[:space:]]*Z' /proc/{session}/status; do sleep 1; done
for f in {scratch}/*.pid; do [ -f "$f" ] && kill -9 "$(cat "$f")"; done
rm -rf {scratch}) > /dev/null 2>&1 < /dev/null &
"""


class RpcConnection:
    """Holds one server of a key until it is closed: the interface of :class:`natdeploy.devices.connection.Connection`.

    Attributes:
        where: key and tracker, as errors name the device.
        unit: which device the tracker has handed out: its name, and its machine's identity (without one, its boot's).
        scratch: the scratch folder on the device.

    Args:
        host, port: of the tracker.
        key: what the device registered as.
        session_s: longest session; the server ends it then.
        machine: the device's kind of processor, as ``uname -m`` says it.

    Raises DeviceNotReachable, within 10 s besides the import of TVM, with advice in one line.
    """

    via = "tvm-rpc"

    def __init__(self, host: str, port: int, key: str, session_s: float, machine: str) -> None:
        self._child: ChildWorker | None = None
        self._session_s, self._started = session_s, time.monotonic()
        self._key = key
        self.where = f"tvm-rpc device '{key}@{host}:{port}'"
        check_tracker(host, port, key, _TRACKER_LIMIT_S)
        library = carrier(machine)
        self._child = ChildWorker(self.where, without=NOT_NEEDED_BY_TVM)
        try:
            self._child.call(rpc_child.load_tvm, timeout_s=_IMPORT_LIMIT_S)
            check_tracker(host, port, key, _TRACKER_LIMIT_S)
            busy = f"no server of the key is free, or it does not answer, after {_REQUEST_LIMIT_S:g} s; look at: "
            query = f"python -m tvm.exec.query_rpc_tracker --host {host} --port {port}"
            self._call(rpc_child.request, host, port, key, session_s, limit_s=_REQUEST_LIMIT_S, silent=busy + query)
            self._folder, session = self._call(rpc_child.start, library, limit_s=_REQUEST_LIMIT_S)
            self.scratch = f"{self._folder}/natdeploy-{secrets.token_hex(6)}"
            self._make_scratch(session)
        except BaseException:
            self.close()
            raise

    @property
    def connecting_s(self) -> float:
        """Seconds for a first question."""
        return COMMAND_LIMIT_S

    def shell(self, script: str, limit_s: float) -> Finished:
        """Execute a shell script on the device. Raises DeviceNotReachable where the connection fails."""
        deadline = time.monotonic() + limit_s
        self._call(rpc_child.begin, script)
        pause_s = _FIRST_PAUSE_S
        while not self._call(rpc_child.ended):
            if time.monotonic() > deadline:
                self.close()
                raise DeviceNotReachable(f"{self.where}: not done after {limit_s:g} s; the session was ended")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        status, out, err = self._call(rpc_child.result)
        return Finished(status, out, err.decode(errors="replace"))

    def in_scratch(self, script: str, limit_s: float) -> Finished:
        """As :meth:`shell`, in the scratch folder; status 74 where that is gone."""
        return self.shell(f"cd {shlex.quote(self.scratch)} || exit 74\n{script}", limit_s)

    def push(self, local: Path, name: str) -> None:
        """Copy a file into the scratch folder. Raises DeviceNotReachable, for a full disk too."""
        size = local.stat().st_size
        self._call(rpc_child.upload, local, name, limit_s=_ANSWER_LIMIT_S + size / _SLOWEST_BYTES_PER_S)
        moved = f"{shlex.quote(f'{self._folder}/{name}')} {shlex.quote(f'{self.scratch}/{name}')}"
        done = self.shell(f"mv {moved} && wc -c < {shlex.quote(f'{self.scratch}/{name}')}", COMMAND_LIMIT_S)
        if done.status == 0 and done.stdout.split() == [str(size).encode()]:
            return
        if full_disk(done) or done.status == 0:
            raise DeviceNotReachable(f"{self.where}: the device's disk is full ({self.scratch}); free some space on it")
        raise DeviceNotReachable(f"{self.where}: {name} cannot be written to {self.scratch}: {done.complaint}")

    def toolchain(self) -> dict[str, str]:
        """TVM's version."""
        from importlib.metadata import version

        return {"tvm-rpc": version("apache-tvm")}

    def close(self) -> None:
        """End the session; the device then removes the scratch folder and ends what still runs in it."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _make_scratch(self, session: int) -> None:
        done = self.shell(_WATCH.format(scratch=shlex.quote(self.scratch), session=session), COMMAND_LIMIT_S)
        if done.status:
            reason = "its disk is full; free some space on it" if full_disk(done) else done.complaint
            raise DeviceNotReachable(f"{self.where}: no scratch folder can be made in {self._folder}: {reason}")
        identity, node = [*done.stdout.decode(errors="replace").split(), "", ""][:2]
        self.unit = f"{self._key}@{node}-{identity[:8]}"

    def _call(
        self, function: Callable[..., Result], *args: Any, limit_s: float = _ANSWER_LIMIT_S, silent: str | None = None
    ) -> Result:
        """Call the child, and take every failure for the connection's."""
        if self._child is None:
            raise BadInput(f"{self.where}: the runner is closed")
        try:
            return self._child.call(function, *args, timeout_s=limit_s)
        except ChildFailed as error:
            self.close()
            text = str(error)
            if time.monotonic() - self._started > 0.95 * self._session_s:
                reason = f"its session of {self._session_s:g} s is over; raise field 'reach.tvm_rpc.session_timeout_s'"
            elif "no answer after" in text:
                reason = silent or f"no answer after {limit_s:g} s; check the device and the network"
            else:
                reason = f"the connection was lost ({' '.join(text.split())[-120:]}); start its RPC server again"
            raise DeviceNotReachable(f"{self.where}: {reason}") from None
