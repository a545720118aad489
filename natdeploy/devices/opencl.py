"""Whether this machine has OpenCL: a graphics processor's, or PoCL, which computes on the ordinary processor."""

from __future__ import annotations

import ctypes

from natdeploy.ground.errors import ChildFailed, DeviceNotReachable
from natdeploy.ground.processes import call_in_child

_LIMIT_S = 60.0


def need_opencl() -> None:
    """Raise DeviceNotReachable, saying what to install, where no OpenCL platform is found."""
    try:
        found = call_in_child(count_platforms, timeout_s=_LIMIT_S, name="looking for OpenCL")
    except ChildFailed as error:
        raise DeviceNotReachable(f"OpenCL does not work on this machine: {error}") from None
    if not found:
        raise DeviceNotReachable(
            "this machine has no OpenCL to run it with (Debian and Ubuntu: apt install pocl-opencl-icd "
            "ocl-icd-libopencl1, which computes on the processor)"
        )


def count_platforms() -> int:
    """How many OpenCL platforms the loader finds. It loads their drivers: call in a child process."""
    try:
        library = ctypes.CDLL("libOpenCL.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint32()
    return count.value if library.clGetPlatformIDs(0, None, ctypes.byref(count)) == 0 else 0
