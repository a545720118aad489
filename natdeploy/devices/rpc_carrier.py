"""The library that lets a TVM RPC server execute a command line, compiled for the processor of the device."""

from __future__ import annotations

import tempfile
from pathlib import Path

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, content_key, readable_disk_errors, sha256_file, write_bytes
from natdeploy.ground.zig import run_zig

_SOURCE = Path(__file__).with_name("rpc_shell.c")
#: What ``uname -m`` says -> zig's name of such a Linux. No C library is linked, so that any serves.
_TARGETS = {
    "aarch64": "aarch64-linux-musl",
    "armv7l": "arm-linux-musleabihf",
    "x86_64": "x86_64-linux-musl",
    "riscv64": "riscv64-linux-musl",
}
_FLAGS = ("-shared", "-nostdlib", "-O2", "-s", "-fPIC", "-fvisibility=hidden", "-Werror", "-Wl,--build-id=none")


def carrier(machine: str) -> bytes:
    """The library for a machine, compiled once and kept.

    Raises BadInput for a machine that none can be made for, ChildFailed where it does not compile.
    """
    target = _TARGETS.get(machine)
    if target is None:
        raise BadInput(f"tvm-rpc: nothing can be started on a {machine}; known: {', '.join(_TARGETS)}")
    path = cache_root() / "rpc" / f"{machine}-{content_key([sha256_file(_SOURCE), target, *_FLAGS])[:16]}.so"
    if not path.is_file():
        with readable_disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=path.parent) as folder:
                run_zig(["cc", "-target", target, *_FLAGS, "-o", "carrier.so", str(_SOURCE)], Path(folder))
                write_bytes(path, (Path(folder) / "carrier.so").read_bytes())
    return path.read_bytes()
