"""The C program around OpenCL kernels, compiled: by zig for a Linux with glibc, by an NDK's clang for Android."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from natdeploy.compiler.gpu.ndk import run_ndk_clang
from natdeploy.compiler.gpu.sources import EXECUTABLE, LIBRARY, write_gpu_sources
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.target import zig_target
from natdeploy.ground.files import readable_disk_errors
from natdeploy.ground.zig import run_zig

_FLAGS = ("-std=c11", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
#: Kind of artifact -> its file, how it is linked, and what it has besides the library's sources.
OUTPUTS = {
    "native": ("libmodel.so", ("-shared", "-Wl,--version-script=exports.map"), ()),
    "executable": ("model_run", (), (EXECUTABLE,)),
}


def link_sources(sources: Path, kind: str, mtriple: str) -> bytes:
    """As :func:`link_opencl`, of a folder that :func:`write_gpu_sources` wrote, which is left as it is."""
    with tempfile.TemporaryDirectory(prefix="natdeploy-opencl-") as temporary:
        with readable_disk_errors(Path(temporary)):
            shutil.copytree(sources, temporary, dirs_exist_ok=True)
        return _link(Path(temporary), kind, mtriple)


def link_opencl(plan: Plan, kind: str, mtriple: str) -> bytes:
    """The bytes of ``libmodel.so`` (``native``) or ``model_run`` (``executable``), for a Linux with glibc or Android.

    Neither is static: what loads the vendor's OpenCL library must be able to. Raises BadInput for another triple,
    DeviceNotReachable for Android where no NDK is found, ChildFailed where the compiler fails.
    """
    with tempfile.TemporaryDirectory(prefix="natdeploy-opencl-") as temporary:
        write_gpu_sources(plan, Path(temporary))
        return _link(Path(temporary), kind, mtriple)


def _link(folder: Path, kind: str, mtriple: str) -> bytes:
    name, flags, more = OUTPUTS[kind]
    output = [*flags, "-s", "-Wl,--build-id=none", "-o", name]
    arguments = [*_FLAGS, *output, *LIBRARY, *more, "-ldl", "-lm"]
    if "android" in mtriple:
        run_ndk_clang(mtriple, arguments, folder)
    else:
        run_zig(["cc", "-target", zig_target({"mtriple": mtriple}), *arguments], folder)
    return (folder / name).read_bytes()
