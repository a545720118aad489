"""What runs in the child process that holds a TVM RPC session. TVM blocks where a device is gone: the parent kills it.

Every function is short: what takes long on the device runs in the background there, and is asked for.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

#: Files in the server's folder: the carrier's library; script, output, complaints and exit status of what was started.
_CARRIER, _SCRIPT, _OUT, _ERR, _STATUS = (
    f"natdeploy-{name}" for name in ("shell.so", "script", "out", "err", "status")
)
#: Session, shell function and folder on the device; empty in any process but a runner's child.
_HELD: dict[str, Any] = {}


def load_tvm() -> None:
    """Import TVM, which takes seconds of this machine and says nothing about the device."""
    import tvm.rpc  # noqa: F401


def request(host: str, port: int, key: str, session_s: float) -> None:
    """Get a server from the tracker. Waits without end where all are in use."""
    from tvm.rpc import TrackerSession

    tracker = TrackerSession((host, port))
    _HELD["session"] = tracker.request(key, session_timeout=session_s, max_retry=1)
    tracker.close()


def start(carrier: bytes) -> tuple[str, int]:
    """Load the carrier there; returns the server's folder, and the process that serves this session."""
    session = _HELD["session"]
    session.upload(bytearray(carrier), _CARRIER)
    _HELD["shell"] = session.load_module(_CARRIER)["natdeploy_shell"]
    _HELD["folder"] = str(Path(session.get_function("tvm.rpc.server.workpath")(_CARRIER)).parent)
    _execute(f"echo $PPID > {shlex.quote(_HELD['folder'])}/{_OUT}")
    return str(_HELD["folder"]), int(bytes(session.download(_OUT)))


def upload(local: Path, name: str) -> None:
    """Copy a file into the server's folder."""
    _HELD["session"].upload(bytearray(local.read_bytes()), name)


def begin(script: str) -> None:
    """Start a shell script in the background; no other one runs."""
    folder = shlex.quote(_HELD["folder"])
    _HELD["session"].upload(bytearray(script.encode()), _SCRIPT)
    _execute(
        f"cd {folder} && rm -f {_STATUS} && {{ (sh ./{_SCRIPT} > {_OUT} 2> {_ERR} < /dev/null; "
        f"echo $? > {_STATUS}.new; mv {_STATUS}.new {_STATUS}) & }}"
    )


def ended() -> bool:
    """Whether it has ended."""
    return _execute(f"test -f {shlex.quote(_HELD['folder'])}/{_STATUS}") == 0


def result() -> tuple[int, bytes, bytes]:
    """Its exit status, output and complaints."""
    session = _HELD["session"]
    status, out, err = (bytes(session.download(name)) for name in (_STATUS, _OUT, _ERR))
    return int(status), out, err


def _execute(command: str) -> int:
    """What ``system`` says of a command line of the device's shell."""
    import numpy as np
    import tvm

    text = np.frombuffer(command.encode() + b"\0", np.uint8)
    return int(_HELD["shell"](tvm.runtime.tensor(text, device=_HELD["session"].cpu())))
