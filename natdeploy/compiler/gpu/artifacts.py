"""The artifacts of a plan for a graphics processor, and their outputs on this machine."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.gpu.cuda_local import cuda_outputs
from natdeploy.compiler.gpu.link import OUTPUTS, link_opencl, link_sources
from natdeploy.compiler.gpu.ndk import find_ndk
from natdeploy.compiler.gpu.nvcc import find_nvcc
from natdeploy.compiler.gpu.sources import kernels_file, write_gpu_sources
from natdeploy.compiler.gpu.target import LANGUAGES
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.toolchain import toolchain_versions
from natdeploy.devices.cuda import need_cuda
from natdeploy.devices.native_model import NativeModel
from natdeploy.devices.opencl import need_opencl
from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.ground.files import sha256_bytes, sha256_file, write_bytes
from natdeploy.ground.processes import call_in_child

#: OpenCL on an ordinary processor: it computes the same, and says nothing of a graphics processor's speed.
POCL = "pocl"
#: Suffix of a file of kernels -> what it is written in.
LANGUAGE_OF = {f".{suffix}": kind for kind, suffix in LANGUAGES.items()}
_SOURCE_ONLY = "{} is source code only here: nothing on this machine ran it"
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


def need_gpu_linker(target: Mapping[str, Any]) -> None:
    """Raise DeviceNotReachable, with advice, where no program can be linked that runs a target's kernels on another
    machine: Android without an NDK, a language that natdeploy has no program for."""
    if target["kind"] == "cuda":
        raise DeviceNotReachable(
            "natdeploy runs CUDA on the machine that the graphics processor is in: run it there, with --device "
            "host-cuda or a profile that is reached via local"
        )
    if target["kind"] != "opencl":
        raise DeviceNotReachable(f"{target['kind']} is source code only: natdeploy has no program that runs it")
    if "android" in target["mtriple"]:
        find_ndk()


def build_gpu_executable(plan: Plan, folder: Path) -> Artifact:
    """``folder/model_run``, linked for the plan's host. Raises like :func:`need_gpu_linker`, and ChildFailed."""
    need_gpu_linker(plan.target)
    path = Path(folder) / OUTPUTS["executable"][0]
    write_bytes(path, link_opencl(plan, "executable", plan.target["mtriple"]))
    path.chmod(0o755)
    shapes = plan.inputs[0].view.shape, plan.outputs[0].view.shape
    return Artifact("executable", path, sha256_file(path), *shapes, toolchain_versions("gpu"))


def need_gpu(target: Mapping[str, Any]) -> None:
    """Raise DeviceNotReachable, with advice, where nothing on this machine runs kernels of a target's language."""
    if target["kind"] == "opencl":
        need_opencl()
    elif target["kind"] == "cuda":
        find_nvcc()
        need_cuda()
    else:
        raise DeviceNotReachable(_SOURCE_ONLY.format(target["kind"]))


def gpu_outputs(plan: Plan, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """What ran a plan's kernels on this machine (``pocl``, or a device's name), and their outputs.

    The plan's own kernels and weights: OpenCL in its C program, linked for this machine; CUDA through TVM. Raises
    DeviceNotReachable where there is no OpenCL or NVIDIA graphics processor here, and for Metal.
    """
    with tempfile.TemporaryDirectory(prefix="natdeploy-verify-") as folder:
        write_gpu_sources(plan, Path(folder))
        return source_outputs(Path(folder, kernels_file(plan)), inputs)


def source_outputs(kernels: Path, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """As :func:`gpu_outputs`, of the file of kernels that :func:`build_gpu_artifacts` wrote and what lies beside it."""
    if kernels.suffix == ".cu":
        return cuda_outputs(kernels, inputs)
    if kernels.suffix != ".cl":
        raise DeviceNotReachable(_SOURCE_ONLY.format(LANGUAGE_OF[kernels.suffix]))
    need_opencl()
    with tempfile.TemporaryDirectory(prefix="natdeploy-verify-") as folder:
        library = Path(folder, "libmodel.so")
        write_bytes(library, link_sources(kernels.parent, "native", f"{platform.machine()}-linux-gnu"))
        device, outputs = call_in_child(_run, library, inputs, timeout_s=_LIMIT_S, name="the compiled model")
    return (POCL if "Portable Computing Language" in device else device), outputs


def _run(library: Path, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """In the child."""
    with NativeModel(library) as model:
        return str(model.device), [model.run(arrays) for arrays in inputs]


def _can_be_linked(plan: Plan) -> bool:
    if plan.target["kind"] != "opencl" or not {"android", "gnu"} & set(plan.target["mtriple"].split("-")):
        return False
    try:
        need_gpu_linker(plan.target)
    except DeviceNotReachable:
        return False
    return True
