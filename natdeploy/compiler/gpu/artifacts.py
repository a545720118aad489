"""The artifacts of a plan for a graphics processor, and their outputs on this machine."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.gpu.link import OUTPUTS, link_opencl
from natdeploy.compiler.gpu.ndk import find_ndk
from natdeploy.compiler.gpu.sources import kernels_file, write_gpu_sources
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.toolchain import toolchain_versions
from natdeploy.devices.native_model import NativeModel
from natdeploy.devices.opencl import need_opencl
from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.ground.files import sha256_bytes, sha256_file, write_bytes
from natdeploy.ground.processes import call_in_child

#: OpenCL on an ordinary processor: it computes the same, and says nothing of a graphics processor's speed.
POCL = "pocl"
_LIMIT_S = 900.0  # PoCL compiles every kernel when it first runs


def build_gpu_artifacts(plan: Plan, folder: Path) -> dict[str, Artifact]:
    """Write kernels, weights and plan into ``folder``; for OpenCL a C program around them, ready for CMake, as well.

    ``source`` is the file of kernels. For OpenCL, ``native`` is ``libmodel.so`` and ``executable`` is ``model_run``
    where the host can be linked for: a Linux with glibc, or Android where an NDK is found. Raises BadInput for a full
    disk, ChildFailed where a compiler fails.
    """
    folder = Path(folder)
    write_gpu_sources(plan, folder)
    shapes, toolchain = (plan.inputs[0].view.shape, plan.outputs[0].view.shape), toolchain_versions("gpu")
    path = folder / kernels_file(plan)
    artifacts = {"source": Artifact("source", path, sha256_file(path), *shapes, toolchain)}
    for kind in OUTPUTS if _can_be_linked(plan) else ():
        binary = link_opencl(plan, kind, plan.target["mtriple"])
        path = folder / OUTPUTS[kind][0]
        write_bytes(path, binary)
        if kind == "executable":
            path.chmod(0o755)
        artifacts[kind] = Artifact(kind, path, sha256_bytes(binary), *shapes, toolchain)
    return artifacts


def gpu_outputs(plan: Plan, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """What ran a plan's kernels on this machine (``pocl``, or a device's name), and their outputs.

    The plan's own kernels, weights and C program, linked for this machine. Raises DeviceNotReachable where there is no
    OpenCL here, and for languages that only run where they are from.
    """
    kind = plan.target["kind"]
    if kind != "opencl":
        raise DeviceNotReachable(f"{kind} is source code only here: nothing on this machine ran it")
    need_opencl()
    with tempfile.TemporaryDirectory(prefix="natdeploy-verify-") as folder:
        library = Path(folder, "libmodel.so")
        write_bytes(library, link_opencl(plan, "native", f"{platform.machine()}-linux-gnu"))
        device, outputs = call_in_child(_run, library, inputs, timeout_s=_LIMIT_S, name="the compiled model")
    return (POCL if "Portable Computing Language" in device else device), outputs


def _run(library: Path, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """In the child."""
    with NativeModel(library) as model:
        return str(model.device), [model.run(arrays) for arrays in inputs]


def _can_be_linked(plan: Plan) -> bool:
    triple = str(plan.target["mtriple"])
    if plan.target["kind"] != "opencl" or "android" not in triple:
        return plan.target["kind"] == "opencl" and "linux-gnu" in triple
    try:
        find_ndk()
    except DeviceNotReachable:
        return False
    return True
